"""The SQL of sale.settle: a paid hold is sold, perhaps with other places than its own, or its loss is told.

Laws: the hold's row is locked first, then its places (store_moving.py); the rules (holds.py) decide on what the locked
rows say. What is told and what is changed are one transaction, the inbox's.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from reservation.bodies import Line
from reservation.holds import LOST_BECAUSE, Verdict, is_gone, settle
from reservation.store_holds import facts_of, lines_of, lock_hold, now_of, told
from reservation.store_moving import Line as PlacedLine
from reservation.store_moving import lock_lines, move
from reservation.times import us_of
from ticketflow.delivery import Outbox, Poison
from ticketflow.events import EndReason, Envelope, HoldLine, HoldLost, HoldSold, SaleSettle, is_id, payload_of
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection

log = get_logger("settling")


class Settling:
    def __init__(self, outbox: Outbox[Connection]) -> None:
        self._outbox = outbox

    async def settle(self, conn: Connection, envelope: Envelope) -> None:
        """Handler of sale.settle. Raises Poison, Retryable."""
        command = _command(envelope)
        hold_id = command.hold_id
        row = await lock_hold(conn, hold_id)
        if row is None:
            return await self._lose(conn, command, "unknown_hold")
        facts, lines = facts_of(row), []
        if facts.rule.settle is Verdict.SELL:
            lines = await lock_lines(conn, hold_id)
            facts = facts._replace(now=await now_of(conn))
        verdict = settle(hold_id, facts, command.payment_id, [line.place for line in lines])
        moves = await _move(conn, hold_id, lines, facts.now) if verdict is Verdict.MOVE else {}
        if moves is None:
            verdict = Verdict.LOSE_TAKEN
        if verdict in LOST_BECAUSE:
            await _remember_lost(conn, command)
            return await self._lose(conn, command, LOST_BECAUSE[verdict])
        if verdict is Verdict.TELL_AGAIN:
            return await self._tell(conn, command, row["ended_at"], row["moved"])
        moved = bool(moves)
        return await self._tell(conn, command, await _sell(conn, command, moved), moved)

    async def _tell(self, conn: Connection, command: SaleSettle, sold_at: datetime, moved: bool) -> None:
        moved_to = _as_told(await lines_of(conn, command.hold_id)) if moved else None
        payload = HoldSold(
            hold_id=command.hold_id, payment_id=command.payment_id, sold_at_us=us_of(sold_at), moved_to=moved_to
        )
        await self._outbox.stage(conn, [told(payload, command.hold_id)])
        log.info("hold_sold", hold_id=command.hold_id, payment_id=command.payment_id, moved=moved)

    async def _lose(self, conn: Connection, command: SaleSettle, reason: EndReason) -> None:
        payload = HoldLost(hold_id=command.hold_id, payment_id=command.payment_id, reason=reason)
        await self._outbox.stage(conn, [told(payload, command.hold_id)])
        log.warning("hold_lost", hold_id=command.hold_id, payment_id=command.payment_id, reason=reason)


async def _move(conn: Connection, hold_id: str, lines: Sequence[PlacedLine], now: datetime) -> dict[str, str] | None:
    """As move(), for what is gone of ``lines``."""
    gone = [line for line in lines if is_gone(hold_id, line.place, now)]
    moves = await move(conn, hold_id, lines, gone, now)
    log.info("hold_not_moved" if moves is None else "hold_moved", hold_id=hold_id, gone=len(gone), moves=moves)
    return moves


async def _remember_lost(conn: Connection, command: SaleSettle) -> None:
    """What is SOLD or RELEASED needs no memory."""
    await conn.execute(
        """
        UPDATE holds SET lost_payments = lost_payments || $2::uuid
         WHERE hold_id = $1 AND state IN ('HELD', 'EXPIRED') AND $2::uuid <> ALL (lost_payments)
        """,
        command.hold_id,
        command.payment_id,
    )


async def _sell(conn: Connection, command: SaleSettle, moved: bool) -> datetime:
    """All places that the hold has lines for, which must be locked; when it was sold."""
    sold_at: datetime = await conn.fetchval(
        """
        UPDATE holds SET state = 'SOLD', payment_id = $2, moved = $3, ended_at = clock_timestamp() WHERE hold_id = $1
        RETURNING ended_at
        """,
        command.hold_id,
        command.payment_id,
        moved,
    )
    await conn.execute("UPDATE hold_units SET sold = true WHERE hold_id = $1", command.hold_id)
    await conn.execute(
        """
        UPDATE units SET state = 'sold', hold_id = $1, held_until = NULL
         WHERE unit_id IN (SELECT unit_id FROM hold_units WHERE hold_id = $1)
        """,
        command.hold_id,
    )
    return sold_at


def _as_told(lines: Sequence[Line]) -> list[HoldLine]:
    return [HoldLine(**msgspec.structs.asdict(line)) for line in lines]


def _command(envelope: Envelope) -> SaleSettle:
    command = payload_of(envelope)
    if not isinstance(command, SaleSettle):
        raise Poison(f"{envelope.kind} is not sale.settle")
    if not is_id(command.hold_id) or not is_id(command.payment_id):
        raise Poison("hold_id or payment_id is no id")
    return command
