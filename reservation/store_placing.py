"""The SQL of placing holds: calls of place_holds (schema/0003) and what has to be committed with them.

place_holds takes many requests and decides each on its own; so does `_decide`. Requests come one by one as yet.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from asyncpg import Record

from reservation.bodies import Line
from reservation.metrics import CONTENDED
from reservation.refusals import Refused
from reservation.times import us_of
from reservation.wishes import Wish
from ticketflow.delivery import Outbox
from ticketflow.events import Envelope, HoldLine, HoldPlaced, envelope_for, new_id
from ticketflow.runtime.correlation import current_correlation
from ticketflow.runtime.errors import Indefinite, Retryable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying

CONTENDED_MAX = 5  # patient attempts; one is enough, unless places go back and forth meanwhile

log = get_logger("placing")

_lines = msgspec.json.Decoder(list[Line])


class Request(NamedTuple):
    """A wish under its Idempotency-Key. ``fingerprint``: of the whole request, 32 bytes."""

    wish: Wish
    key: str
    fingerprint: bytes


class Placed(NamedTuple):
    """The hold that answers a request. ``row``: of place_holds."""

    row: Record
    lines: list[Line]
    replayed: bool


class Denied(NamedTuple):
    refused: Refused
    replayed: bool


Decision = Placed | Denied


class Placing:
    """Places holds. Safe in any number of replicas."""

    def __init__(self, pool: PostgresPool, outbox: Outbox[Connection]) -> None:
        self._pool = pool
        self._outbox = outbox

    async def place(self, request: Request) -> Decision:
        """The one decision on the request's key, made now or earlier; committed. Raises Unavailable, Indefinite."""
        try:
            return await retrying(lambda: self._attempt(request), attempts=CONTENDED_MAX)
        except Indefinite:
            # The key knows. Asked again on another connection, it gives the answer, or the request is decided now.
            log.warning("commit_unknown", key=request.key)
            return await retrying(lambda: self._attempt(request), attempts=CONTENDED_MAX)

    async def _attempt(self, request: Request) -> Decision:
        for patient in (False, True):
            async with self._pool.transaction() as conn:
                [decision] = await self._decide(conn, [request], patient)
            if decision is not None:
                self._outbox.notify()
                return decision
            CONTENDED.inc()
        raise Retryable("other buyers have their hands on the last of these places")

    async def _decide(self, conn: Connection, requests: Sequence[Request], patient: bool) -> list[Decision | None]:
        """In the transaction of ``conn``; None for what is contended. Stages hold.placed for every new hold."""
        rows = await conn.fetch("SELECT * FROM place_holds($1, $2)", _as_json(requests), patient)
        decisions = [_decision(row) for row in rows]
        placed = [d for d in decisions if isinstance(d, Placed) and not d.replayed]
        await self._outbox.stage(conn, [_hold_placed(d) for d in placed])
        return decisions


def _as_json(requests: Sequence[Request]) -> str:
    """An array of hold_request. Hold ids are fresh: a second attempt must not take the first one's row for its own."""
    return msgspec.json.encode(
        [
            {
                "hold_id": new_id(),
                "event_id": request.wish.event_id,
                "buyer_id": request.wish.buyer_id,
                "key": request.key,
                "fingerprint": f"\\x{request.fingerprint.hex()}",
                "seats": request.wish.seats,
                "general": [{"tier": tier, "quantity": quantity} for tier, quantity in request.wish.general.items()],
                "late": request.wish.late,
            }
            for request in requests
        ]
    ).decode()


def _decision(row: Record) -> Decision | None:
    if row["matches"] is None:
        return None
    replayed = not row["claimed"]
    if not row["matches"]:
        return Denied(Refused("idempotency_mismatch"), replayed=False)
    if row["refusal"] is not None:
        return Denied(Refused(**msgspec.json.decode(row["refusal"])), replayed)
    return Placed(row, _lines.decode(row["lines"]), replayed)


def _hold_placed(placed: Placed) -> Envelope:
    row = placed.row
    correlation = current_correlation()
    payload = HoldPlaced(
        hold_id=str(row["hold_id"]),
        event_id=str(row["event_id"]),
        event_name=row["event_name"],
        buyer_id=row["buyer_id"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        lines=[HoldLine(**msgspec.structs.asdict(line)) for line in placed.lines],
        placed_at_us=us_of(row["placed_at"]),
        expires_at_us=us_of(row["expires_at"]),
        grace_s=row["grace_s"],
    )
    return envelope_for(
        payload,
        key=payload.hold_id,
        correlation_id=correlation.id,
        traceparent=correlation.traceparent,
        now_us=payload.placed_at_us,
    )
