"""The office of a test: refunds and cancellations by the admin API, their workers on demand, and paid orders."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from audit import ledger as audited
from billing.ledger.causes import VerifiedWebhook
from billing.refunds.api import RefundApi
from billing.refunds.cancellation_api import CancellationApi
from billing.refunds.cancellations import Cancellations, CancellationWorker
from billing.refunds.deciding import Refunds
from billing.refunds.desk import RefundDesk
from billing.refunds.pacing import Pace
from billing.refunds.paying_back import RefundWorker
from billing.store import wallets
from tests.integration.billing.world import PRICE_MINOR, TOKEN_KEY, Sale, World
from tests.support.buyer import Answer
from tests.support.waiting import wait_until
from ticketflow.events import buyer_token, new_id
from ticketflow.runtime.health import Health
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.mariadb import execute

ADMIN = {"Authorization": "Bearer admin-key"}
BUYER = "buyer-1"


class Office:
    def __init__(self, world: World, *, per_s: int = 1000) -> None:
        self.world = world
        self.refunds = Refunds(world.pool, world.changes, world.outbox)
        self.worker = RefundWorker(world.pool, self.refunds, world.provider, world.outbox, Pace(per_s))
        self.jobs = CancellationWorker(world.pool, self.refunds, world.outbox)
        self.base = ""
        self.http: aiohttp.ClientSession

    @classmethod
    @asynccontextmanager
    async def opened(cls, world: World, *, per_s: int = 1000) -> AsyncIterator["Office"]:
        office = cls(world, per_s=per_s)
        desk = RefundDesk(world.pool, office.refunds, world.provider)
        server = HttpServer(
            [
                *RefundApi(world.pool, office.refunds, desk).routes(),
                *CancellationApi(Cancellations(world.pool)).routes(),
            ],
            title="t",
            version="1",
            host="127.0.0.1",
            port=0,
            admin_key="admin-key",
            health=Health(),
        )
        await server.start()
        office.base = f"http://127.0.0.1:{server.port}/api/v1/admin"
        async with aiohttp.ClientSession(headers=ADMIN) as office.http:
            yield office
        await server.drain(2)

    # -- asking

    async def refund(self, sale: Sale, *, key: str | None = None, **wish: Any) -> Answer:
        body = {"reason": "changed plans"} | wish
        return await self.post(f"/orders/{sale.hold_id}/refunds", body, key)

    async def refunded(self, sale: Sale, **wish: Any) -> dict[str, Any]:
        """Asked for and carried out; as it then stands."""
        asked = await self.refund(sale, **wish)
        assert asked.status == 202, asked.body
        await self.settled(sale)
        return next(one for one in await self.of(sale) if one["refund_id"] == asked.body["refund_id"])

    async def of(self, sale: Sale) -> list[dict[str, Any]]:
        told = await self.get(f"/orders/{sale.hold_id}/refunds")
        assert told.status == 200, told.body
        items: list[dict[str, Any]] = told.body["items"]
        return items

    async def states(self, sale: Sale) -> list[str]:
        return [one["state"] for one in await self.of(sale)]

    async def post(self, path: str, body: Any = None, key: str | None = None) -> Answer:
        headers = {"Idempotency-Key": key or new_id()}
        async with self.http.post(self.base + path, json=body, headers=headers) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    async def get(self, path: str) -> Answer:
        async with self.http.get(self.base + path) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    # -- working

    async def settled(self, *sales: Sale) -> None:
        """Until no refund of these is under way."""

        async def none_under_way() -> bool:
            await self.worker.run_once()
            return all(["REQUESTED" not in await self.states(sale) for sale in sales])

        await wait_until(none_under_way, timeout_s=60)

    async def due_now(self) -> None:
        """As if the time until the next try were over."""
        async with self.world.pool.transaction() as conn:
            await execute(
                conn, "UPDATE refunds SET due_at = UTC_TIMESTAMP(6) WHERE state = 'REQUESTED' AND due_at IS NOT NULL"
            )

    # -- paid orders

    async def paid(self, *, seats: int = 2, credits_minor: int = 0) -> Sale:
        """A confirmed order; ``credits_minor`` of it paid by credits, the rest by card."""
        sale = await self.world.placed(seats=seats)
        await self.pay(sale, credits_minor)
        return sale

    async def pay(self, sale: Sale, credits_minor: int = 0) -> None:
        total_minor = sale.hold.total_minor
        if credits_minor:
            await self.top_up(credits_minor)
        alone = credits_minor == total_minor
        body: dict[str, Any] = {"method": "credits"} if alone else {"card_token": "tok_ok"}
        if credits_minor and not alone:
            body["credits_minor"] = credits_minor
        headers = sale.headers | {
            "Idempotency-Key": new_id(),
            "X-Buyer-Token": buyer_token.issue([TOKEN_KEY], BUYER),
        }
        url = f"{self.world.base}/api/v1/orders/{sale.hold_id}/payments"
        async with self.world.http.post(url, json=body, headers=headers) as response:
            told = await response.json()
            assert response.status == 201, told
        await sale.sold(told["payment_id"])
        await wait_until(lambda: self._captured(sale))

    async def _captured(self, sale: Sale) -> bool:
        await self.world.run("capture")
        return bool((await sale.order())["state"] == "CONFIRMED")

    async def top_up(self, amount_minor: int) -> None:
        webhook = VerifiedWebhook(new_id(), "sandbox")
        async with self.world.pool.transaction() as conn:
            await wallets.top_up(conn, new_id(), BUYER, amount_minor, "EUR", webhook)

    async def an_event(self, orders: int, *, seats: int = 1, paid: bool = True) -> list[Sale]:
        """Orders of one event."""
        event_id, sales = new_id(), []
        for _ in range(orders):
            sale = Sale(self.world, new_id(), seats, 600)
            sale.hold = msgspec.structs.replace(sale.hold, event_id=event_id)
            sales.append(sale)
        for begin in range(0, orders, 100):
            await self.world.feed(*(sale.event(sale.hold) for sale in sales[begin : begin + 100]))
        if paid:
            await self.pay_all(sales)
        return sales

    async def pay_all(self, sales: Sequence[Sale]) -> None:
        gate = asyncio.Semaphore(6)

        async def one(sale: Sale) -> str:
            async with gate:
                paid = await sale.pay()
            assert paid.status == 201, paid.body
            return str(paid.body["payment_id"])

        payments = await asyncio.gather(*(one(sale) for sale in sales))
        for sale, payment_id in zip(sales, payments, strict=True):
            await sale.sold(payment_id)

        async def none_left() -> bool:
            await self.world.run("capture")
            return not await self.world.rows("SELECT 1 FROM payments WHERE state <> 'CAPTURED' LIMIT 1")

        await wait_until(none_left, timeout_s=120)

    # -- what holds at any time

    async def kept_at_bank(self, sale: Sale) -> int:
        """What the provider still has of the buyer's money."""
        items = [item for p in (await sale.order())["payments"] for item in await self.world.at_bank(p["payment_id"])]
        return sum(item["captured_minor"] - item["refunded_minor"] for item in items)

    async def wallet_minor(self) -> int:
        async with self.world.pool.acquire() as conn:
            return sum(one.available_minor for one in await wallets.balances(conn, BUYER))

    async def given_back_minor(self, event_id: str) -> int:
        """By the ledger."""
        rows = await self.world.rows(
            "SELECT CAST(COALESCE(SUM(balance_minor), 0) AS SIGNED) AS minor FROM ledger_balances WHERE account = %s",
            f"refunds:{event_id}",
        )
        return int(rows[0]["minor"])

    async def books_are_sound(self) -> None:
        """The ledger by itself; and against the orders, whose refunds are what it has given back."""
        async with self.world.pool.acquire() as conn:
            assert await audited.faults(conn) == []
        assert await self.world.rows(WRONG_SUMS) == []


WRONG_SUMS = """
    SELECT o.order_id, o.state, o.refunds_minor, r.requested, r.done, l.posted, t.good FROM orders o
    LEFT JOIN (SELECT order_id, SUM(card_minor + credits_minor) AS requested,
                      SUM(IF(state = 'REFUNDED', card_minor + credits_minor, 0)) AS done
               FROM refunds GROUP BY order_id) r USING (order_id)
    LEFT JOIN (SELECT e.order_id, SUM(p.amount_minor) AS posted FROM ledger_entries e JOIN ledger_postings p
               USING (entry_id) WHERE p.account LIKE 'refunds:%%' GROUP BY e.order_id) l USING (order_id)
    LEFT JOIN (SELECT order_id, SUM(voided_at IS NULL) AS good FROM tickets GROUP BY order_id) t USING (order_id)
    WHERE o.refunds_minor <> COALESCE(r.requested, 0) OR COALESCE(r.done, 0) <> COALESCE(l.posted, 0)
       OR o.refunds_minor > o.total_minor
       OR (o.state = 'REFUNDED') <> (o.state IN ('CONFIRMED', 'PARTIALLY_REFUNDED', 'REFUNDED')
            AND COALESCE(r.done, 0) = o.total_minor AND COALESCE(t.good, 0) = 0
            AND EXISTS (SELECT 1 FROM refunds x WHERE x.order_id = o.order_id AND x.state = 'REFUNDED'))
"""

__all__ = ["ADMIN", "BUYER", "PRICE_MINOR", "Office"]
