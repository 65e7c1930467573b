"""Buyers, webhooks, faults of the provider and dying workers, all at once and by a seed: when the storm is over every
order and top-up has ended, and the provider, the ledger and the wallets agree to the cent."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.hooked import PROVIDERS, HookedWorld, Wallet, adapter, pay
from tests.integration.billing.world import Sale
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import PaymentAuthorized
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.mariadb import execute

WORKERS = ("webhooks", "topups", "resolver", "capture", "void", "recheck-failed", "recheck-voided")
FAULTS = ("error", "error_after", "drop", "drop_after", "rate_limit", "conflict")
OPERATIONS = ("authorize", "capture", "void", "refund", "fetch", "begin")
TOKENS = ("tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_insufficient")
SALES, BUYERS, TOPUPS = 12, 2, 6


class Storm:
    def __init__(self, worlds: list[HookedWorld], dice: random.Random) -> None:
        self.worlds = worlds
        self.world = worlds[0]
        self.dice = dice
        self.sales: list[Sale] = []
        self.sold: dict[str, bool] = {}  # reservation's word, by order
        self.topups: list[tuple[Wallet, str]] = []

    # -- who takes part

    async def buyer_of(self, sale: Sale) -> None:
        """Tries to pay in whatever way, until a try went well or he has had enough."""
        wallet = self.world.buyer(sale.hold.buyer_id)
        for _ in range(self.dice.randint(1, 3)):
            credits_minor = self.dice.choice((0, 0, 700))
            method = self.dice.choice(("card", "redirect", "redirect", "credits"))
            body: dict[str, Any] = {} if method == "credits" else {"credits_minor": credits_minor}
            if method == "card":
                body["card_token"] = self.world.card(self.dice.choice(TOKENS))
            told = await pay(sale, method, headers=wallet.headers, **body)
            assert told.status in (201, 202, 402, 409, 410, 503), told
            if told.status == 201 and method == "redirect":
                for _ in range(self.dice.randrange(3)):
                    await self.world.on_the_page(told.body["redirect_url"], self.dice.choice(TOKENS))
            elif told.status == 201:
                return

    async def topper(self, wallet: Wallet) -> None:
        told = await wallet.begin(self.dice.choice((1000, 2500, 7000)))
        assert told.status in (201, 503), told
        if told.status == 201:
            self.topups.append((wallet, told.body["topup_id"]))
            for _ in range(self.dice.randrange(3)):
                await self.world.on_the_page(told.body["redirect_url"], self.dice.choice(TOKENS))

    async def reservation(self) -> None:
        """Gives each order its seats, or not, when it hears of an authorised payment; and says so again when asked."""
        answered: set[str] = set()
        while True:
            for sale in self.sales:
                for told in await self.world.staged(sale.hold_id):
                    if isinstance(told, PaymentAuthorized) and told.payment_id not in answered:
                        answered.add(told.payment_id)
                        found, again = self.dice.random() < 0.7, self.dice.random() < 0.3
                        answer = sale.sold if self.sold.setdefault(sale.hold_id, found) else sale.lost
                        await _whole(answer(told.payment_id, again=again))
            await asyncio.sleep(0.01)

    async def listener(self, world: HookedWorld) -> None:
        while True:
            for name in WORKERS:
                try:
                    await world.run(name)
                except (Unavailable, Indefinite):
                    continue
            await asyncio.sleep(0.01)

    async def nemesis(self, listeners: list[asyncio.Task[None]]) -> None:
        """The provider errs, webhooks are held back, listeners die and are started again."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.02, 0.2))
            match self.dice.randrange(4):
                case 0 | 1:
                    await self.world.fault(self.dice.choice(OPERATIONS), self.dice.choice(FAULTS))
                case 2:
                    manners = {"paused": self.dice.random() < 0.5, "repeats": self.dice.randrange(3)}
                    await self.world.manners(**manners, order="shuffled", seed=self.dice.randrange(1000))
                case _:
                    at = self.dice.randrange(len(listeners))
                    listeners[at].cancel()
                    await asyncio.gather(listeners[at], return_exceptions=True)
                    listeners[at] = asyncio.create_task(self.listener(self.worlds[at]))

    # -- the walk

    async def rages(self) -> None:
        listening = _meanwhile(*(self.listener(world) for world in self.worlds))
        async with listening as listeners, _meanwhile(self.reservation(), self.nemesis(listeners)):
            wallets = [self.world.buyer(f"buyer-{nth}") for nth in range(BUYERS)]
            for nth in range(SALES):
                self.sales.append(await self.world.placed(seats=1, buyer_id=wallets[nth % BUYERS].buyer_id))
            buyers = [self.buyer_of(sale) for sale in self.sales]
            toppers = [self.topper(wallets[nth % BUYERS]) for nth in range(TOPUPS)]
            await asyncio.gather(*buyers, *toppers)

    async def calms_down(self) -> None:
        """No more faults; holds end, pages end, and everything has its time."""
        async with self.world.bank.delete("/v1/faults") as response:
            assert response.status == 204
        await self.world.manners(repeats=1)
        await self.world.sent_again()
        for sale in self.sales:
            if sale.hold_id not in self.sold:
                await sale.expired()
        async with _meanwhile(self.reservation(), self.listener(self.worlds[1])):
            await wait_until(self.world.all_sent, timeout_s=60)
            await wait_until(self._all_over, timeout_s=90, interval_s=0.1)
            await wait_until(self.world.applied, timeout_s=60)

    async def _all_over(self) -> bool:
        async with self.world.pool.transaction() as conn:
            await execute(
                conn,
                """
                UPDATE payments
                SET started_at = started_at - INTERVAL 100 SECOND, redirect_until = redirect_until - INTERVAL 2 DAY,
                    due_at = IF(due_at IS NULL, NULL, UTC_TIMESTAMP(6))
                WHERE state <> 'CAPTURED'
                """,
            )
            await execute(
                conn,
                "UPDATE topups SET redirect_until = redirect_until - INTERVAL 2 DAY, due_at = UTC_TIMESTAMP(6)"
                " WHERE state IN ('STARTED', 'RETURNING')",
            )
        await self.world.due_now("webhooks")
        for name in WORKERS:
            await self.world.run(name)
        left = await self.world.rows(
            """
            SELECT 'order' AS what, order_id AS id, state FROM orders WHERE state NOT IN ('CONFIRMED', 'FAILED')
            UNION ALL
            SELECT 'payment', payment_id, state FROM payments
            WHERE state NOT IN ('DECLINED', 'FAILED', 'CAPTURED', 'VOIDED')
            UNION ALL
            SELECT 'topup', topup_id, state FROM topups WHERE state IN ('STARTED', 'RETURNING')
            """
        )
        assert left == []
        return True

    # -- what must be true then

    async def adds_up(self) -> None:
        kept_minor = 0
        for row in await self.world.rows(
            "SELECT payment_id, state, amount_minor - credits_minor AS card FROM payments"
        ):
            kept = await self.world.kept_minor(row["payment_id"])
            assert kept == (row["card"] if row["state"] == "CAPTURED" else 0), row
            kept_minor += kept
        credited: dict[str, int] = {}
        for row in await self.world.rows("SELECT * FROM topups"):
            kept = await self.world.kept_minor(row["topup_id"])
            assert kept == (row["amount_minor"] if row["state"] == "CREDITED" else 0), row
            kept_minor += kept
            credited[row["buyer_id"]] = credited.get(row["buyer_id"], 0) + kept
        for sale in self.sales:
            order = await sale.order()
            assert order["state"] == ("CONFIRMED" if self.sold.get(sale.hold_id) else "FAILED"), order
            assert len(order["tickets"]) == (1 if order["state"] == "CONFIRMED" else 0)
        spent = await self.world.rows(
            """
            SELECT o.buyer_id, CAST(SUM(p.credits_minor) AS SIGNED) AS minor
            FROM payments p JOIN orders o USING (order_id) WHERE p.state = 'CAPTURED' GROUP BY o.buyer_id
            """
        )
        used = {row["buyer_id"]: row["minor"] for row in spent}
        for buyer in {sale.hold.buyer_id for sale in self.sales}:
            assert await self.world.buyer(buyer).has() == (credited.get(buyer, 0) - used.get(buyer, 0), 0)
        await self.world.ledger_is_sound()
        (clearing,) = await self.world.rows(
            "SELECT CAST(COALESCE(SUM(balance_minor), 0) AS SIGNED) AS minor FROM ledger_balances"
            " WHERE account LIKE 'clearing:%%'"
        )
        assert clearing["minor"] == kept_minor


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Also when we are cancelled meanwhile: a stream has no holes."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


@asynccontextmanager
async def _meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """What goes on until the block ends; whoever ends it by himself has failed."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in outcomes if not isinstance(one, asyncio.CancelledError)] == []


@asynccontextmanager
async def _two(
    hooked: HookedWorld, settings: DatabaseSettings, sandbox: ProviderProcess
) -> AsyncIterator[list[HookedWorld]]:
    provider = adapter(hooked.provider.name, sandbox.url)
    async with HookedWorld.opened(settings, sandbox.url, PROVIDER_KEY, provider) as other:
        yield [hooked, other]


@pytest.mark.parametrize("nth", range(2))
@pytest.mark.parametrize("hooked", PROVIDERS, indirect=True)
async def test_after_the_storm_everything_has_ended_and_adds_up(
    hooked: HookedWorld, billing_database: DatabaseSettings, sandbox: ProviderProcess, nth: int
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    async with _two(hooked, billing_database, sandbox) as worlds:
        storm = Storm(worlds, random.Random(seed))
        await storm.rages()
        await storm.calms_down()
        await storm.adds_up()
