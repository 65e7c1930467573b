"""The endpoints of holds."""

from collections.abc import Sequence
from math import ceil

from reservation import bodies, wishes
from reservation.answers import refused_reply, replay_headers, reply_to
from reservation.batching import TooBusy
from reservation.metrics import DECISIONS
from reservation.refusals import Refused
from reservation.store_holds import Hold, HoldStore
from reservation.store_placing import Denied, Placed, Placing
from reservation.store_placing import Request as PlacingRequest
from reservation.store_releasing import Releasing
from ticketflow.events import hold_token
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.http.answer import RETRY_AFTER_S

TAGS = ("holds",)
TOO_BUSY = "more buyers wait than can be served in time, and nothing was done; try again"
TOKEN_HEADER = "X-Hold-Token"  # noqa: S105 - a name

_placed, _replayed = DECISIONS.labels("placed"), DECISIONS.labels("replayed")


class HoldsApi:
    """``token_keys``: the first signs, all verify."""

    def __init__(self, placing: Placing, releasing: Releasing, store: HoldStore, token_keys: Sequence[str]) -> None:
        self._placing = placing
        self._releasing = releasing
        self._store = store
        self._token_keys = token_keys

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/api/v1/holds",
                handler=reply_to(self._place),
                summary="Hold seats: all that are asked for, or none",
                body=bodies.PlaceHold,
                response=bodies.HoldPlaced,
                status=201,
                idempotency_key=True,
                problems=(
                    "bad_id",
                    "bad_quantity",
                    "nothing_requested",
                    "too_many_seats",
                    "seat_repeated",
                    "tier_repeated",
                    "event_unknown",
                    "event_closed",
                    "seat_unknown",
                    "tier_unknown",
                    "seat_unavailable",
                    "idempotency_mismatch",
                    "too_busy",
                    "store_unavailable",
                    "outcome_unknown",
                ),
                tags=TAGS,
            ),
            Route(
                method="GET",
                path="/api/v1/holds/{hold_id}",
                handler=reply_to(self._read),
                summary="A hold, to who has its token",
                response=bodies.HoldSeen,
                problems=("hold_token_missing", "hold_token_wrong", "hold_unknown", "store_unavailable"),
                tags=TAGS,
            ),
            Route(
                method="DELETE",
                path="/api/v1/holds/{hold_id}",
                handler=reply_to(self._release),
                summary="Give the seats back; once more is no error",
                response=bodies.HoldSeen,
                problems=(
                    "hold_token_missing",
                    "hold_token_wrong",
                    "hold_unknown",
                    "hold_sold",
                    "hold_expired",
                    "too_busy",
                    "store_unavailable",
                    "outcome_unknown",
                ),
                tags=TAGS,
            ),
        ]

    async def _place(self, request: Request) -> Reply:
        body: bodies.PlaceHold = request.body
        general = [(wish.tier, wish.quantity) for wish in body.general]
        wish = wishes.check(body.event_id, body.buyer_id, body.seats, general, body.late)
        try:
            decision = await self._placing.place(PlacingRequest(wish, request.idempotency_key, request.fingerprint))
        except TooBusy as busy:
            DECISIONS.labels("too_busy").inc()
            raise _too_busy() from busy
        if isinstance(decision, Denied):
            DECISIONS.labels(decision.refused.code).inc()
            return refused_reply(decision.refused, request.correlation_id, decision.replayed)
        (_replayed if decision.replayed else _placed).inc()
        return Reply(201, self._told(decision), replay_headers(decision.replayed))

    async def _read(self, request: Request) -> Reply:
        return Reply(200, _seen(await self._own(request)))

    async def _release(self, request: Request) -> Reply:
        hold_id, token = request.path["hold_id"], request.headers.get(TOKEN_HEADER)
        if token is None or not hold_token.verify(self._token_keys, hold_id, token):
            await self._own(request)  # refuses, and says why
        try:
            await self._releasing.release(hold_id)
        except TooBusy as busy:
            raise _too_busy() from busy
        return Reply(200, _seen(await self._store.read(hold_id)))

    async def _own(self, request: Request) -> Hold:
        """The hold of the path, if the token in the header is its own. Raises Refused."""
        hold_id, token = request.path["hold_id"], request.headers.get(TOKEN_HEADER)
        if not token:
            raise Refused("hold_token_missing")
        hold = await self._store.read(hold_id)
        if not hold_token.verify(self._token_keys, hold_id, token):
            raise Refused("hold_token_wrong")
        return hold

    def _told(self, placed: Placed) -> bodies.HoldPlaced:
        row = placed.row
        hold_id = str(row["hold_id"])
        return bodies.HoldPlaced(
            hold_id=hold_id,
            order_id=hold_id,
            token=hold_token.issue(self._token_keys, hold_id),
            state="HELD",
            event_id=str(row["event_id"]),
            buyer_id=row["buyer_id"],
            lines=placed.lines,
            total_minor=row["total_minor"],
            currency=row["currency"],
            placed_at=row["placed_at"],
            expires_at=row["expires_at"],
        )


def _too_busy() -> Problem:
    return Problem(503, "too_busy", TOO_BUSY, retry_after_s=RETRY_AFTER_S)


def _seen(hold: Hold) -> bodies.HoldSeen:
    row, facts = hold.row, hold.facts
    left_s = (facts.expires_at - facts.now).total_seconds() if facts.shown == "HELD" else 0.0
    return bodies.HoldSeen(
        hold_id=row["hold_id"],
        order_id=row["hold_id"],
        state=facts.shown.value,
        event_id=row["event_id"],
        buyer_id=row["buyer_id"],
        lines=hold.lines,
        total_minor=row["total_minor"],
        currency=row["currency"],
        placed_at=row["placed_at"],
        expires_at=row["expires_at"],
        seconds_left=max(0, ceil(left_s)),
        late=facts.late.value,
        moved=row["moved"],
    )
