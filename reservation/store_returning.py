"""The SQL of sale.return: places that were sold to a hold go on sale again. The hold stays SOLD, with all its lines.

Laws: as at settling, the hold's row is locked first, then its places in the order of unit_id; only a place that is sold
to this very hold is freed, so that a return that comes twice, or too late, touches nobody else's.
"""

from reservation.store_holds import lock_hold, told
from ticketflow.delivery import Outbox, Poison
from ticketflow.events import Envelope, HoldReturned, SaleReturn, is_id, payload_of
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection

log = get_logger("returning")


class Returning:
    def __init__(self, outbox: Outbox[Connection]) -> None:
        self._outbox = outbox

    async def give_back(self, conn: Connection, envelope: Envelope) -> None:
        """Handler of sale.return, in the inbox's transaction. Raises Poison."""
        command = _command(envelope)
        if await lock_hold(conn, command.hold_id) is None:
            log.warning("return_of_unknown_hold", hold_id=command.hold_id, return_id=command.return_id)
            return
        freed = await _free(conn, command)
        if not freed:
            log.info("nothing_to_return", hold_id=command.hold_id, return_id=command.return_id)
            return
        payload = HoldReturned(hold_id=command.hold_id, return_id=command.return_id, unit_ids=freed)
        await self._outbox.stage(conn, [told(payload, command.hold_id)])
        log.info("hold_returned", hold_id=command.hold_id, return_id=command.return_id, places=len(freed))


async def _free(conn: Connection, command: SaleReturn) -> list[str]:
    """The places that are free from now on, in the order of unit_id."""
    rows = await conn.fetch(
        """
        SELECT unit_id::text FROM units
         WHERE unit_id IN (SELECT unit_id FROM hold_units WHERE hold_id = $1) AND hold_id = $1 AND state = 'sold'
           AND (cardinality($2::uuid[]) = 0 OR unit_id = ANY ($2::uuid[]))
         ORDER BY unit_id FOR NO KEY UPDATE
        """,
        command.hold_id,
        command.unit_ids,
    )
    freed = [row["unit_id"] for row in rows]
    await conn.execute(
        "UPDATE units SET state = 'free', hold_id = NULL WHERE unit_id = ANY ($1::uuid[])",
        freed,
    )
    await conn.execute(
        "UPDATE hold_units SET sold = false, return_id = $3 WHERE hold_id = $1 AND unit_id = ANY ($2::uuid[])",
        command.hold_id,
        freed,
        command.return_id,
    )
    return freed


def _command(envelope: Envelope) -> SaleReturn:
    command = payload_of(envelope)
    if not isinstance(command, SaleReturn):
        raise Poison(f"{envelope.kind} is not sale.return")
    if not all(map(is_id, (command.hold_id, command.return_id, *command.unit_ids))):
        raise Poison("hold_id, return_id or one of unit_ids is no id")
    return command
