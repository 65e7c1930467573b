"""The SQL of single holds: reading, releasing, settling.

Laws: who changes a hold locks its row first, then its places in the order of unit_id; the rules (holds.py) decide on
what the locked rows say; a place is freed or sold only where it is still the hold's own, or free by the clock.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from asyncpg import Record

from reservation.bodies import Line
from reservation.holds import LOST_BECAUSE, Facts, Place, State, Verdict, settle
from reservation.metrics import ENDED
from reservation.refusals import Refused
from reservation.times import us_of
from ticketflow.delivery import Outbox, Poison
from ticketflow.events import (
    EndReason,
    Envelope,
    HoldLost,
    HoldReleased,
    HoldSold,
    Payload,
    SaleSettle,
    envelope_for,
    is_id,
    payload_of,
)
from ticketflow.runtime.correlation import current_correlation
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying

log = get_logger("holds")

_lines = msgspec.json.Decoder(list[Line])

COLUMNS = """
    hold_id::text, event_id::text, buyer_id, state, total_minor, currency, payment_id::text,
    placed_at, expires_at, held_until, clock_timestamp() AS now
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
        return Hold(row, _lines.decode(row["lines"]), _facts(row))

    async def release(self, hold_id: str) -> None:
        """Gives the places back; once more is no error. Raises Refused."""
        if await retrying(lambda: self._release(hold_id)):
            self._outbox.notify()
            ENDED.labels("released").inc()
            log.info("hold_released", hold_id=hold_id)

    async def settle(self, conn: Connection, envelope: Envelope) -> None:
        """Handler of sale.settle, in the inbox's transaction: the hold is sold, or its loss is told."""
        command = _command(envelope)
        row = await _lock(conn, command.hold_id)
        if row is None:
            return await self._lose(conn, command, "unknown_hold")
        facts = _facts(row)
        places = await _lock_places(conn, command.hold_id)
        verdict = settle(command.hold_id, facts._replace(now=await _now(conn)), command.payment_id, places)
        if verdict in LOST_BECAUSE:
            return await self._lose(conn, command, LOST_BECAUSE[verdict])
        if verdict is Verdict.SELL:
            await self._sell(conn, command)
        return None

    async def _release(self, hold_id: str) -> bool:
        """Whether it was released just now."""
        async with self._pool.transaction() as conn:
            row = await _lock(conn, hold_id)
            if row is None:
                raise Refused("hold_unknown")
            verdict = _facts(row).rule.release
            if verdict is Verdict.REFUSE_EXPIRED:
                raise Refused("hold_expired")
            if verdict is Verdict.REFUSE_SOLD:
                raise Refused("hold_sold")
            if verdict is Verdict.NOTHING:
                return False
            await free_places(conn, [hold_id])
            await end(conn, [hold_id], State.RELEASED)
            await self._stage(conn, HoldReleased(hold_id=hold_id), hold_id)
        return True

    async def _sell(self, conn: Connection, command: SaleSettle) -> None:
        sold_at: datetime = await conn.fetchval(
            """
            UPDATE holds SET state = 'SOLD', payment_id = $2, ended_at = clock_timestamp() WHERE hold_id = $1
            RETURNING ended_at
            """,
            command.hold_id,
            command.payment_id,
        )
        await conn.execute("UPDATE hold_units SET sold = true WHERE hold_id = $1", command.hold_id)
        await conn.execute(
            """
            UPDATE units SET state = 'sold', hold_id = $1, held_until = NULL
             WHERE unit_id IN (SELECT unit_id FROM hold_units WHERE hold_id = $1)
            """,
            command.hold_id,
        )
        payload = HoldSold(hold_id=command.hold_id, payment_id=command.payment_id, sold_at_us=us_of(sold_at))
        await self._stage(conn, payload, command.hold_id)
        log.info("hold_sold", hold_id=command.hold_id, payment_id=command.payment_id)

    async def _lose(self, conn: Connection, command: SaleSettle, reason: EndReason) -> None:
        payload = HoldLost(hold_id=command.hold_id, payment_id=command.payment_id, reason=reason)
        await self._stage(conn, payload, command.hold_id)
        log.warning("hold_lost", hold_id=command.hold_id, payment_id=command.payment_id, reason=reason)

    async def _stage(self, conn: Connection, payload: Payload, hold_id: str) -> None:
        await self._outbox.stage(conn, [told(payload, hold_id)])


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


async def _lock(conn: Connection, hold_id: str) -> Record | None:
    return await conn.fetchrow(f"SELECT {COLUMNS} FROM holds WHERE hold_id = $1 FOR NO KEY UPDATE", hold_id)  # noqa: S608


async def _lock_places(conn: Connection, hold_id: str) -> list[Place]:
    rows = await conn.fetch(
        """
        SELECT state, hold_id::text, held_until FROM units
         WHERE unit_id IN (SELECT unit_id FROM hold_units WHERE hold_id = $1) ORDER BY unit_id FOR NO KEY UPDATE
        """,
        hold_id,
    )
    return [Place(*row) for row in rows]


async def _now(conn: Connection) -> datetime:
    """The time after the last lock was had: the one to judge by."""
    now: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return now


def _facts(row: Record) -> Facts:
    return Facts(State(row["state"]), row["expires_at"], row["held_until"], row["payment_id"], row["now"])


def _command(envelope: Envelope) -> SaleSettle:
    command = payload_of(envelope)
    if not isinstance(command, SaleSettle):
        raise Poison(f"{envelope.kind} is not sale.settle")
    if not is_id(command.hold_id) or not is_id(command.payment_id):
        raise Poison("hold_id or payment_id is no id")
    return command
