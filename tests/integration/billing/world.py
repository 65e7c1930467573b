"""One billing: its API on a port, its workers on demand, and the events that a test feeds it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from audit import ledger as audited
from audit.ledger import LedgerFault
from billing.ledger.causes import VerifiedWebhook
from billing.orders.api import Api
from billing.orders.changes import Changes
from billing.orders.handlers import handlers
from billing.payments.arriving import Arrivals
from billing.payments.paying import Payments
from billing.payments.settlements import Settlements
from billing.payments.workers import payment_workers
from billing.providers.port import Authorization, Provider
from billing.providers.sandbox import SandboxProvider
from billing.settings import DatabaseSettings
from billing.store import wallets
from tests.support.buyer import Answer
from ticketflow.delivery import Inbox, MariaDBDialect, Outbox
from ticketflow.events import (
    EndReason,
    Envelope,
    HoldExpired,
    HoldLine,
    HoldLost,
    HoldPlaced,
    HoldReleased,
    HoldSold,
    Payload,
    buyer_token,
    decode,
    encode,
    envelope_for,
    hold_token,
    new_id,
    payload_of,
)
from ticketflow.feed import VERSION, Hello
from ticketflow.runtime.health import Health
from ticketflow.runtime.http import HttpServer, Route
from ticketflow.runtime.mariadb import MariaDBPool, execute, query

TOKEN_KEY = "token-key"
ADMIN_KEY = "admin-key"
PRICE_MINOR = 2500


def a_pool(settings: DatabaseSettings) -> MariaDBPool:
    return MariaDBPool(
        settings.database_hosts,
        settings.database_name,
        settings.database_user,
        settings.database_password,
        name="test",
        size_min=0,
        size_max=12,
    )


class World:
    def __init__(self, settings: DatabaseSettings, pool: MariaDBPool, provider: Provider) -> None:
        self.settings = settings
        self.pool = pool
        self.provider = provider
        self.outbox: Outbox[Any] = Outbox(MariaDBDialect(), "billing")
        self.changes = Changes(self.outbox)
        self.settlements = Settlements(pool, self.changes, provider)
        self.arrivals = Arrivals(pool)
        self.payments = Payments(pool, self.changes, provider, self.outbox, wait_s=3, arrivals=self.arrivals)
        self.workers = payment_workers(pool, self.settlements, self.outbox)
        self.inbox = Inbox(pool, MariaDBDialect(), stream="reservation", handlers=handlers(self.changes), patience_s=5)
        self.hello = Hello(VERSION, "reservation", 7, 1, 0, "test")
        self._seq = 0
        self.base = ""
        self.http: aiohttp.ClientSession
        self.bank: aiohttp.ClientSession

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        settings: DatabaseSettings,
        provider_url: str,
        provider_key: str,
        provider: Provider | None = None,
        *,
        port: int = 0,
    ) -> AsyncIterator[Self]:
        """``provider_url``: the sandbox's own, whichever adapter speaks to it. ``port``: of the API."""
        pool = a_pool(settings)
        await pool.open()
        provider = provider or SandboxProvider(provider_url, provider_key, timeout_s=1.5)
        await provider.open()
        world = cls(settings, pool, provider)
        server = HttpServer(
            world.routes(),
            title="t",
            version="1",
            host="127.0.0.1",
            port=port,
            admin_key=ADMIN_KEY,
            health=Health(),
        )
        await server.start()
        world.base = f"http://127.0.0.1:{server.port}"
        await world.inbox.hello(world.hello, None)  # type: ignore[arg-type]
        async with (
            aiohttp.ClientSession() as world.http,
            aiohttp.ClientSession(provider_url, headers={"Authorization": f"Bearer {provider_key}"}) as world.bank,
        ):
            yield world
        await server.drain(2)
        await provider.close()
        await pool.close()

    def routes(self) -> list[Route]:
        return Api(self.pool, self.payments, [TOKEN_KEY]).routes()

    # -- reservation's part

    async def feed(self, *envelopes: Envelope, again: bool = False) -> None:
        """The next events of the stream; ``again``: each is sent once more under a later seq."""
        for _ in range(2 if again else 1):
            await self.inbox.apply(self.hello, self._seq + 1, [encode(envelope) for envelope in envelopes])
            self._seq += len(envelopes)

    async def placed(self, *, seats: int = 2, lasts_s: float = 60, buyer_id: str = "buyer-1") -> "Sale":
        sale = Sale(self, new_id(), seats, lasts_s, buyer_id)
        await self.feed(sale.event(sale.hold))
        return sale

    async def give_credits(self, buyer_id: str, amount_minor: int) -> None:
        """As if they had been bought."""
        async with self.pool.transaction() as conn:
            webhook = VerifiedWebhook(new_id(), "sandbox")
            assert await wallets.top_up(conn, new_id(), buyer_id, amount_minor, "EUR", webhook)

    # -- what can be asked

    async def run(self, *names: str) -> int:
        """One round of the named workers."""
        return sum([await self.workers[name].run_once() for name in names])

    async def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        async with self.pool.acquire() as conn:
            return await query(conn, sql, params)

    async def staged(self, order_id: str) -> list[Payload]:
        """What billing has told the other services about an order, in order."""
        rows = await self.rows(
            "SELECT body FROM delivery_outbox WHERE stream = 'billing' AND event_key = %s ORDER BY position", order_id
        )
        payloads = [payload_of(decode(row["body"])) for row in rows]
        return [payload for payload in payloads if payload is not None]

    async def credits(self, buyer_id: str) -> tuple[int, int]:
        """What a buyer can spend, and what is frozen; EUR."""
        async with self.pool.acquire() as conn:
            held = [one for one in await wallets.balances(conn, buyer_id) if one.currency == "EUR"]
        return (held[0].available_minor, held[0].frozen_minor) if held else (0, 0)

    async def ledger_faults(self) -> list[LedgerFault]:
        async with self.pool.acquire() as conn:
            return await audited.faults(conn)

    async def due(self, *payment_ids: str) -> None:
        """Lets the workers look at these payments at once, whatever they were told to wait for."""
        async with self.pool.transaction() as conn:
            for payment_id in payment_ids:
                await execute(
                    conn, "UPDATE payments SET due_at = UTC_TIMESTAMP(6) WHERE payment_id = %s", (payment_id,)
                )

    async def fault(self, operation: str, kind: str, count: int = 1, delay_s: float = 0.0) -> None:
        body = {"operation": operation, "kind": kind, "count": count, "delay_s": delay_s}
        async with self.bank.post("/v1/faults", json=body) as response:
            assert response.status == 201, await response.text()

    @asynccontextmanager
    async def thinking(self) -> AsyncIterator[Callable[[], None]]:
        """Meanwhile what the provider says to an authorization is on its way; it arrives when the test calls."""
        arrived, authorize = asyncio.Event(), self.provider.authorize

        async def late(**wanted: Any) -> Authorization:
            try:
                return await authorize(**wanted)
            finally:
                await arrived.wait()

        self.provider.authorize = late  # type: ignore[method-assign]
        try:
            yield arrived.set
        finally:
            arrived.set()
            self.provider.authorize = authorize  # type: ignore[method-assign]

    async def age(self, payment_id: str, by_s: float = 30) -> None:
        """Makes a payment older than it is, and due."""
        async with self.pool.transaction() as conn:
            await execute(
                conn,
                "UPDATE payments SET started_at = started_at - INTERVAL %s SECOND, due_at = UTC_TIMESTAMP(6)"
                " WHERE payment_id = %s",
                (by_s, payment_id),
            )

    async def at_bank(self, payment_id: str) -> list[dict[str, Any]]:
        """The authorizations that the provider has under a payment."""
        async with self.bank.get("/v1/authorizations", params={"reference": payment_id}) as response:
            items: list[dict[str, Any]] = (await response.json())["items"]
            return items


class Sale:
    """A hold that reservation has placed."""

    def __init__(self, world: World, hold_id: str, seats: int, lasts_s: float, buyer_id: str = "buyer-1") -> None:
        now_us = time.time_ns() // 1000
        self.world = world
        self.hold_id = hold_id
        self.hold = HoldPlaced(
            hold_id=hold_id,
            event_id=new_id(),
            event_name="Evening",
            buyer_id=buyer_id,
            currency="EUR",
            total_minor=seats * PRICE_MINOR,
            lines=[
                HoldLine(unit_id=new_id(), tier="stalls", label=f"A-{number}", price_minor=PRICE_MINOR)
                for number in range(1, seats + 1)
            ],
            placed_at_us=now_us,
            expires_at_us=now_us + int(lasts_s * 1e6),
            grace_s=60,
        )
        self.headers = {"X-Hold-Token": hold_token.issue([TOKEN_KEY], hold_id)}
        self.as_buyer = self.headers | {"X-Buyer-Token": buyer_token.issue([TOKEN_KEY], buyer_id)}

    def event(self, payload: Payload) -> Envelope:
        return envelope_for(payload, key=self.hold_id, correlation_id="c-1")

    async def sold(self, payment_id: str, *, again: bool = False, moved_to: list[HoldLine] | None = None) -> None:
        sold = HoldSold(hold_id=self.hold_id, payment_id=payment_id, sold_at_us=1, moved_to=moved_to)
        await self.world.feed(self.event(sold), again=again)

    async def lost(self, payment_id: str, reason: EndReason = "taken", *, again: bool = False) -> None:
        lost = HoldLost(hold_id=self.hold_id, payment_id=payment_id, reason=reason)
        await self.world.feed(self.event(lost), again=again)

    async def released(self, *, again: bool = False) -> None:
        await self.world.feed(self.event(HoldReleased(hold_id=self.hold_id)), again=again)

    async def expired(self, *, again: bool = False) -> None:
        await self.world.feed(self.event(HoldExpired(hold_id=self.hold_id)), again=again)

    async def pay(
        self, card: str = "tok_ok", *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return await self.pay_by({"method": "card", "card_token": card}, key=key, headers=headers)

    async def pay_by(
        self, body: dict[str, Any], *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """``headers``: the buyer's own without."""
        sent = (self.as_buyer if headers is None else headers) | {"Idempotency-Key": key or new_id()}
        url = f"{self.world.base}/api/v1/orders/{self.hold_id}/payments"
        async with self.world.http.post(url, json=body, headers=sent) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    async def order(self) -> Any:
        url = f"{self.world.base}/api/v1/orders/{self.hold_id}"
        async with self.world.http.get(url, headers=self.headers) as response:
            body = await response.json(content_type=None)
            assert response.status == 200, body
            return body

    async def codes(self) -> list[str]:
        return [entry["code"] for entry in (await self.order())["history"]]

    async def has(self, code: str) -> bool:
        """Whether the order's history says so."""
        return code in await self.codes()

    async def payment_states(self) -> list[str]:
        return [payment["state"] for payment in (await self.order())["payments"]]

    async def ends(self, state: str) -> None:
        """Asserts how the order stands, and that the provider keeps its total if it is confirmed, else nothing."""
        order = await self.order()
        assert order["state"] == state, order
        items = [item for p in order["payments"] for item in await self.world.at_bank(p["payment_id"])]
        kept = sum(item["captured_minor"] - item["refunded_minor"] for item in items)
        spent = sum(p["credits_minor"] for p in order["payments"] if p["state"] == "CAPTURED")
        assert kept + spent == (self.hold.total_minor if state == "CONFIRMED" else 0), items
        assert await self.world.ledger_faults() == []
        assert [item for item in items if item["state"] == "authorized"] == []
        assert len(order["tickets"]) == (len(self.hold.lines) if state == "CONFIRMED" else 0)
