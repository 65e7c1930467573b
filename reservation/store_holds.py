"""The SQL of single holds: reading, releasing, and what others need to end them. Settling is in store_settling.py.

Laws: who changes a hold locks its row first, then its places in the order of unit_id; the rules (holds.py) decide on
what the locked rows say; a place is freed or sold only where it is still the hold's own, or free by the clock.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from asyncpg import Record

from reservation.bodies import Line
from reservation.holds import Facts, Late, State, Verdict
from reservation.metrics import ENDED
from reservation.refusals import Refused
from ticketflow.delivery import Outbox
from ticketflow.events import Envelope, HoldReleased, Payload, envelope_for
from ticketflow.runtime.correlation import current_correlation
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying

log = get_logger("holds")

_lines = msgspec.json.Decoder(list[Line])

COLUMNS = """
    hold_id::text, event_id::text, buyer_id, state, total_minor, currency, payment_id::text,
    lost_payments::text[], late, moved, placed_at, expires_at, held_until, ended_at, clock_timestamp() AS now
"""


class Hold(NamedTuple):
    """A hold as its buyer may see it."""

    row: Record
    lines: list[Line]
    facts: Facts


class HoldStore:
    def __init__(self, pool: PostgresPool, outbox: Outbox[Connection]) -> None:
        self._pool = pool
        self._outbox = outbox

    async def read(self, hold_id: str) -> Hold:
        """Raises Refused `hold_unknown`."""
        async with self._pool.acquire() as conn:
            row = await conn.fetchrow(
                f"SELECT {COLUMNS}, hold_lines(hold_id) AS lines FROM holds WHERE hold_id = $1",  # noqa: S608
                hold_id,
            )
        if row is None:
            raise Refused("hold_unknown")
        return Hold(row, _lines.decode(row["lines"]), facts_of(row))

    async def release(self, hold_id: str) -> None:
        """Gives the places back; once more is no error. Raises Refused."""
        if await retrying(lambda: self._release(hold_id)):
            self._outbox.notify()
            ENDED.labels("released").inc()
            log.info("hold_released", hold_id=hold_id)

    async def _release(self, hold_id: str) -> bool:
        """Whether it was released just now."""
        async with self._pool.transaction() as conn:
            row = await lock_hold(conn, hold_id)
            if row is None:
                raise Refused("hold_unknown")
            verdict = facts_of(row).rule.release
            if verdict is Verdict.REFUSE_EXPIRED:
                raise Refused("hold_expired")
            if verdict is Verdict.REFUSE_SOLD:
                raise Refused("hold_sold")
            if verdict is Verdict.NOTHING:
                return False
            await free_places(conn, [hold_id])
            await end(conn, [hold_id], State.RELEASED)
            await self._outbox.stage(conn, [told(HoldReleased(hold_id=hold_id), hold_id)])
        return True


def told(payload: Payload, hold_id: str) -> Envelope:
    """The event of a hold, under the correlation that is bound here."""
    correlation = current_correlation()
    return envelope_for(payload, key=hold_id, correlation_id=correlation.id, traceparent=correlation.traceparent)


async def free_places(conn: Connection, hold_ids: Sequence[str]) -> None:
    """Frees what is still held by these holds, which must be locked."""
    await conn.execute(
        """
        WITH own AS (
            SELECT unit_id FROM units
             WHERE unit_id IN (SELECT unit_id FROM hold_units WHERE hold_id = ANY ($1::uuid[]))
               AND hold_id = ANY ($1::uuid[]) AND state = 'held'
             ORDER BY unit_id FOR NO KEY UPDATE
        )
        UPDATE units SET state = 'free', hold_id = NULL, held_until = NULL WHERE unit_id IN (SELECT unit_id FROM own)
        """,
        hold_ids,
    )


async def end(conn: Connection, hold_ids: Sequence[str], state: State) -> None:
    await conn.execute(
        "UPDATE holds SET state = $2, ended_at = clock_timestamp() WHERE hold_id = ANY ($1::uuid[])", hold_ids, state
    )


async def lock_hold(conn: Connection, hold_id: str) -> Record | None:
    """Its row, with COLUMNS; None when there is none."""
    return await conn.fetchrow(f"SELECT {COLUMNS} FROM holds WHERE hold_id = $1 FOR NO KEY UPDATE", hold_id)  # noqa: S608


async def lines_of(conn: Connection, hold_id: str) -> list[Line]:
    lines: str = await conn.fetchval("SELECT hold_lines($1)", hold_id)
    return _lines.decode(lines)


async def now_of(conn: Connection) -> datetime:
    """The time after the last lock was had: the one to judge by."""
    now: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return now


def facts_of(row: Record) -> Facts:
    """``row``: with COLUMNS."""
    return Facts(
        state=State(row["state"]),
        expires_at=row["expires_at"],
        held_until=row["held_until"],
        payment_id=row["payment_id"],
        lost_payments=row["lost_payments"],
        late=Late(row["late"]),
        now=row["now"],
    )
