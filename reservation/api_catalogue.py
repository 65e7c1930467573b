"""The endpoints of venues, halls and events. What of an event is free is in api_shown.py."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from reservation import bodies, store_catalogue, store_closing
from reservation.answers import replay_headers, reply_to
from reservation.shown import Shown
from reservation.store_idempotency import once
from reservation.wishes import check_id
from ticketflow.runtime.http import Handler, Reply, Request, Route
from ticketflow.runtime.postgres import Connection, PostgresPool

MAKING = ("idempotency_mismatch", "store_unavailable", "outcome_unknown")


class CatalogueApi:
    def __init__(self, pool: PostgresPool, shown: Shown) -> None:
        self._pool = pool
        self._shown = shown

    def routes(self) -> list[Route]:
        return [
            self._making("venues", "Make a venue", bodies.MakeVenue, bodies.Venue, store_catalogue.make_venue, ()),
            self._making(
                "halls",
                "Make a hall with its rows of numbered seats",
                bodies.MakeHall,
                bodies.Hall,
                store_catalogue.make_hall,
                ("venue_unknown", "row_repeated", "too_many_places", "bad_id"),
            ),
            self._making(
                "events",
                "Make an event with its price tiers and every place it sells",
                bodies.MakeEvent,
                bodies.EventWithTiers,
                store_catalogue.make_event,
                (
                    "hall_unknown",
                    "starts_in_the_past",
                    "currency_unknown",
                    "tier_name_repeated",
                    "tier_ambiguous",
                    "row_unknown",
                    "row_repeated",
                    "too_many_places",
                    "bad_id",
                ),
            ),
            self._switch(
                "close", "Place no more holds; those that are there may still be paid", store_closing.close_event
            ),
            self._switch("open", "Place holds again", store_closing.open_event),
            _reading("/api/v1/venues", "Venues, the oldest first", self._venues, bodies.Venues, query=bodies.PageQuery),
            _reading(
                "/api/v1/venues/{venue_id}",
                "A venue and its halls",
                self._venue,
                bodies.VenueWithHalls,
                "venue_unknown",
            ),
            _reading("/api/v1/events", "Events, the oldest first", self._events, bodies.Events, query=bodies.PageQuery),
        ]

    def _making(
        self,
        scope: str,
        summary: str,
        body: type[Any],
        response: type[Any],
        make: Callable[[Connection, Any], Awaitable[Any]],
        problems: tuple[str, ...],
    ) -> Route:
        """POST /api/v1/admin/{scope}: ``make`` runs once for each Idempotency-Key."""

        async def handler(request: Request) -> Reply:
            for name in ("venue_id", "hall_id"):
                if hasattr(request.body, name):
                    check_id(name, getattr(request.body, name))

            async def effect(conn: Connection) -> bytes:
                return msgspec.json.encode(await make(conn, request.body))

            answered = await once(self._pool, scope, request.idempotency_key, request.fingerprint, effect)
            return Reply(201, answered.body, replay_headers(answered.replayed))

        return Route(
            method="POST",
            path=f"/api/v1/admin/{scope}",
            handler=reply_to(handler),
            summary=summary,
            body=body,
            response=response,
            status=201,
            problems=problems + MAKING,
            admin=True,
            idempotency_key=True,
            tags=("catalogue",),
        )

    def _switch(
        self, verb: str, summary: str, switch: Callable[[PostgresPool, str], Awaitable[bodies.EventWithTiers]]
    ) -> Route:
        """POST /api/v1/admin/events/{event_id}/{verb}: repeated at will, so that it takes no Idempotency-Key."""

        async def handler(request: Request) -> Reply:
            event_id = request.path["event_id"]
            try:
                return Reply(200, await switch(self._pool, event_id))
            finally:  # also when nobody knows whether it was done
                self._shown.outdate(event_id)

        return Route(
            method="POST",
            path=f"/api/v1/admin/events/{{event_id}}/{verb}",
            handler=reply_to(handler),
            summary=summary,
            response=bodies.EventWithTiers,
            problems=("event_unknown", "store_unavailable", "outcome_unknown"),
            admin=True,
            tags=("catalogue",),
        )

    async def _venues(self, request: Request) -> Reply:
        limit, after = _page_of(request)
        return Reply(200, await store_catalogue.list_venues(self._pool, limit, after))

    async def _venue(self, request: Request) -> Reply:
        return Reply(200, await store_catalogue.read_venue(self._pool, request.path["venue_id"]))

    async def _events(self, request: Request) -> Reply:
        limit, after = _page_of(request)
        return Reply(200, await store_catalogue.list_events(self._pool, limit, after))


def _reading(
    path: str, summary: str, handler: Handler, response: type[Any], *problems: str, query: type[Any] | None = None
) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=reply_to(handler),
        summary=summary,
        response=response,
        query=query,
        problems=(*problems, "store_unavailable"),
        tags=("catalogue",),
    )


def _page_of(request: Request) -> tuple[int, str | None]:
    query: bodies.PageQuery = request.query
    if query.after is not None:
        check_id("after", query.after)
    return query.limit, query.after
