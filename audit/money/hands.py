"""What a repair works with: the stores, the provider, and a row in delivery_audit for whatever it does."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from audit.money.sides import Difference
from audit.money.stores import Stores
from audit.stores import PostgresOnce
from billing.providers.port import Provider
from ticketflow.delivery import MariaDBDialect, Outbox, PostgresDialect
from ticketflow.events import Payload, envelope_for
from ticketflow.runtime.mariadb import execute
from ticketflow.runtime.postgres import Connection

CORRELATION = "audit"
SUBJECT_CHARS_MAX = 255

Conn = Any


class RepairRefused(Exception):
    """Nothing was done. The message is for a person: why, and what to look at."""


@dataclass(frozen=True)
class Hands:
    """``actor``: who is doing this, for the audit rows."""

    stores: Stores
    provider: Provider | None
    actor: str

    @asynccontextmanager
    async def billing(self, one: Difference, detail: str) -> AsyncIterator[Conn]:
        """A transaction in billing's store that holds the order's row, if there is an order, and leaves its row."""
        async with self.stores.billing.transaction() as conn:
            if one.order_id is not None:  # written, so that another node's writer of this order collides with us
                await execute(conn, "UPDATE orders SET version = version + 1 WHERE order_id = %s", (one.order_id,))
            yield conn
            await MariaDBDialect().audit(conn, self.actor, f"audit.{one.kind}", _subject(one), detail)

    async def note(self, one: Difference, detail: str) -> None:
        """A row in billing's store for what is done elsewhere."""
        async with self.stores.billing.transaction() as conn:
            await MariaDBDialect().audit(conn, self.actor, f"audit.{one.kind}", _subject(one), detail)

    async def tell_from_billing(self, conn: Conn, order_id: str, payloads: Sequence[Payload]) -> None:
        """In the transaction of ``conn``."""
        outbox: Outbox[Any] = Outbox(MariaDBDialect(), "billing")
        await outbox.stage(conn, [envelope_for(p, key=order_id, correlation_id=CORRELATION) for p in payloads])

    async def command(self, one: Difference, hold_id: str, payload: Payload) -> str:
        """Stages a command to reservation at the portal, in whose stream such come; what was staged."""
        return await self._stage(self.stores.portal, "portal", one, hold_id, [payload])

    async def tell_from_reservation(self, one: Difference, hold_id: str, payloads: Sequence[Payload]) -> str:
        return await self._stage(self.stores.reservation, "reservation", one, hold_id, payloads, LOCK_HOLD)

    async def _stage(
        self,
        store: PostgresOnce,
        stream: str,
        one: Difference,
        hold_id: str,
        payloads: Sequence[Payload],
        lock: str = "SELECT FROM sales WHERE order_id = $1 FOR UPDATE",
    ) -> str:
        dialect = PostgresDialect()
        outbox: Outbox[Connection] = Outbox(dialect, stream)
        done = f"staged {', '.join(payload.kind for payload in payloads)}"
        async with store.transaction() as conn:
            await conn.execute(lock, hold_id)
            await outbox.stage(conn, [envelope_for(p, key=hold_id, correlation_id=CORRELATION) for p in payloads])
            await dialect.audit(conn, self.actor, f"audit.{one.kind}", _subject(one), done)
        return f"{done} at {stream}"


LOCK_HOLD = "SELECT FROM holds WHERE hold_id = $1 FOR NO KEY UPDATE"


def _subject(one: Difference) -> str:
    parts = [*([f"order {one.order_id}"] if one.order_id else []), *(f"{what} {id_}" for what, id_ in one.ids)]
    return ", ".join(parts)[:SUBJECT_CHARS_MAX]
