"""The endpoints of an event's page and its seat map, which thousands read while dozens change it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from reservation import bodies
from reservation.answers import reply_to
from reservation.maps import manners
from reservation.maps.seen import Seen
from reservation.shown import Shown
from ticketflow.runtime.http import Reply, Request, Route
from ticketflow.runtime.http.answer import JSON_TYPE

# Longer bodies are sent piece by piece: a hundred slow readers of a stadium must not keep a copy of it each.
WHOLE_BYTES_MAX = 1024 * 1024
PIECE_BYTES = 128 * 1024


class ShownApi:
    """``staleness_ms``: what the answers promise."""

    def __init__(self, shown: Shown, staleness_ms: int) -> None:
        self._shown = shown
        self._staleness_ms = staleness_ms

    def routes(self) -> list[Route]:
        return [
            self._reading("", "An event and its tiers", self._shown.page, bodies.EventWithTiers),
            self._reading(
                "/availability",
                "What is free, held and sold: counts of each tier, and every numbered seat",
                self._shown.seat_map,
                bodies.Availability,
            ),
        ]

    def _reading(self, end: str, summary: str, read: Callable[..., Awaitable[Seen]], response: type[Any]) -> Route:
        async def handler(request: Request) -> Reply:
            seen = await read(request.path["event_id"], fresh=manners.wants_fresh(request.headers))
            headers = manners.told(seen.etag, self._staleness_ms)
            if manners.has_it(request.headers, seen.etag):
                return Reply(304, None, headers)
            headers["Content-Type"] = JSON_TYPE
            if manners.takes_gzip(request.headers):
                headers["Content-Encoding"] = "gzip"
                return _reply(await seen.gzip(), headers)
            return _reply(seen.plain(), headers)

        return Route(
            method="GET",
            path=f"/api/v1/events/{{event_id}}{end}",
            handler=reply_to(handler),
            summary=summary,
            description=(
                f"Made from memory: what it shows was so {self._staleness_ms} ms ago at most, and a cache that keeps it"
                " for its max-age adds that. `Cache-Control: no-cache` in the request asks for what is so now: send it"
                " after a seat turned out to be gone, not with every request. While the store is away the last that was"
                " seen is shown for a while (`as_of` of the seat map says of when it is), but not to `no-cache`."
                " `If-None-Match` with the ETag is answered by 304 where nothing changed. gzip is an eighth as long."
            ),
            response=response,
            conditional=True,
            problems=("event_unknown", "store_unavailable"),
            tags=("catalogue",),
        )


def _reply(body: bytes, headers: dict[str, str]) -> Reply:
    if len(body) <= WHOLE_BYTES_MAX:
        return Reply(200, body, headers)
    return Reply(200, _pieces(body), headers | {"Content-Length": str(len(body))})


async def _pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
