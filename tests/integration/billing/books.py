"""The ledger of a test: every operation in a transaction of its own, repeated as billing would."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from audit import ledger as audited
from billing.ledger.causes import Purchase, VerifiedWebhook
from billing.ledger.entries import Entry
from billing.settings import DatabaseSettings
from billing.store import ledger, wallets
from tests.integration.billing.world import a_pool
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import Connection, MariaDBPool, query
from ticketflow.runtime.retry import retrying

T = TypeVar("T")

STRIPE = "stripe"


class Books:
    def __init__(self, pool: MariaDBPool) -> None:
        self.pool = pool

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: DatabaseSettings) -> AsyncIterator["Books"]:
        pool = a_pool(settings)
        await pool.open()
        try:
            yield cls(pool)
        finally:
            await pool.close()

    async def do(self, deed: Callable[[Connection], Awaitable[T]], *, attempts: int = 20) -> T:
        async def attempt() -> T:
            async with self.pool.transaction() as conn:
                return await deed(conn)

        return await retrying(attempt, attempts=attempts)

    async def record(self, *entries: Entry) -> int:
        return await self.do(lambda conn: ledger.record(conn, entries))

    async def top_up(self, buyer_id: str, amount_minor: int, currency: str = "EUR") -> None:
        webhook = VerifiedWebhook(new_id(), STRIPE)
        assert await self.do(lambda conn: wallets.top_up(conn, new_id(), buyer_id, amount_minor, currency, webhook))

    async def freeze(self, purchase: Purchase, payment_id: str, credits_minor: int) -> bool:
        return await self.do(lambda conn: wallets.freeze(conn, purchase, payment_id, credits_minor))

    async def unfreeze(self, purchase: Purchase, payment_id: str, credits_minor: int) -> bool:
        return await self.do(lambda conn: wallets.unfreeze(conn, purchase, payment_id, credits_minor))

    async def spend(self, purchase: Purchase, payment_id: str, *, card_minor: int = 0, credits_minor: int = 0) -> bool:
        return await self.do(
            lambda conn: wallets.spend(
                conn, purchase, payment_id, STRIPE, card_minor=card_minor, credits_minor=credits_minor
            )
        )

    async def give_back(self, purchase: Purchase, refund_id: str, credits_minor: int) -> bool:
        return await self.do(lambda conn: wallets.give_back(conn, purchase, refund_id, credits_minor))

    async def has(self, buyer_id: str, currency: str = "EUR") -> tuple[int, int]:
        """What a buyer can spend, and what is frozen."""
        async with self.pool.acquire() as conn:
            held = [one for one in await wallets.balances(conn, buyer_id) if one.currency == currency]
        return (held[0].available_minor, held[0].frozen_minor) if held else (0, 0)

    async def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        async with self.pool.acquire() as conn:
            return await query(conn, sql, params)

    async def faults(self) -> list[audited.LedgerFault]:
        async with self.pool.acquire() as conn:
            return await audited.faults(conn)


def a_purchase(buyer_id: str, event_id: str | None = None, currency: str = "EUR") -> Purchase:
    return Purchase(new_id(), event_id or new_id(), buyer_id, currency)
