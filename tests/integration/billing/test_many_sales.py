"""Many sales at once through every kind of trouble, with two listeners: each ends with tickets and money, or neither.

Reservation is played from billing's own outbox: it answers each ``payment.authorized`` once, as its hold stands.
"""

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from billing.payments import settlements
from billing.settings import DatabaseSettings
from billing.store import book
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import HoldExpired, HoldLost, HoldReleased, HoldSold, PaymentAuthorized, new_id
from ticketflow.runtime.errors import Retryable

SALES = 24
CARDS = ["tok_ok"] * 6 + ["tok_declined", "tok_error", "tok_timeout_after_charge"]
FAULTS = [
    (operation, kind)
    for operation in ("authorize", "capture", "void", "fetch")
    for kind in ("error", "drop", "drop_after", "timeout_after")
]


class Reservation:
    """Keeps what is true of each hold, and tells billing of it, often twice."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.holds: dict[str, Sale] = {}
        self.ended: dict[str, str] = {}
        self.answered: set[str] = set()
        self._turn = asyncio.Lock()

    async def place(self) -> Sale:
        async with self._turn:
            sale = await self.world.placed(seats=self.chance.randint(1, 3))
        self.holds[sale.hold_id] = sale
        return sale

    async def end(self, sale: Sale) -> None:
        """Releases or expires the hold, unless it is sold."""
        async with self._turn:
            if self.ended.get(sale.hold_id) is None:
                kind = self.chance.choice([HoldReleased, HoldExpired])
                self.ended[sale.hold_id] = kind.kind
                await self.world.feed(sale.event(kind(hold_id=sale.hold_id)), again=self.chance.random() < 0.5)

    async def settle(self) -> None:
        """Answers every authorised payment that has no answer yet."""
        async with self._turn:
            for sale in self.holds.values():
                for payload in await self.world.staged(sale.hold_id):
                    if isinstance(payload, PaymentAuthorized) and payload.payment_id not in self.answered:
                        self.answered.add(payload.payment_id)
                        await self._answer(sale, payload.payment_id)

    async def _answer(self, sale: Sale, payment_id: str) -> None:
        again = self.chance.random() < 0.5
        expired_but_free = self.ended.get(sale.hold_id) == HoldExpired.kind and self.chance.random() < 0.5
        if sale.hold_id not in self.ended or expired_but_free:
            self.ended[sale.hold_id] = "sold"
            sold = HoldSold(hold_id=sale.hold_id, payment_id=payment_id, sold_at_us=1)
            await self.world.feed(sale.event(sold), again=again)
        else:
            lost = HoldLost(hold_id=sale.hold_id, payment_id=payment_id, reason="taken")
            await self.world.feed(sale.event(lost), again=again)


async def shop(reservation: Reservation, chance: random.Random) -> None:
    """A buyer: holds, pays with one card or another, repeats himself, loses patience."""
    sale = await reservation.place()
    for _ in range(chance.randint(1, 3)):
        card, key = chance.choice(CARDS), new_id()
        await asyncio.gather(*(sale.pay(card, key=key) for _ in range(chance.randint(1, 2))))
        if chance.random() < 0.4:
            await reservation.end(sale)


async def work_for_ever(world: World) -> None:
    while True:
        with contextlib.suppress(Retryable):  # as the loop of a listener does
            await world.run(*world.workers)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_sale_ends_well(
    world: World,
    billing_database: DatabaseSettings,
    provider_ready: ProviderProcess,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    monkeypatch.setattr(settlements, "ABANDONED_AFTER_S", 3.0)  # twice this world's time-out for the provider
    monkeypatch.setattr(settlements, "BACKOFF_S", (0.05, 0.5))
    monkeypatch.setattr(book, "RECHECK_S", 0.5)
    chance = random.Random(seed)
    reservation = Reservation(world, chance)
    async with World.opened(billing_database, provider_ready.url, PROVIDER_KEY) as other:
        listeners = [asyncio.create_task(work_for_ever(one)) for one in (world, other)]
        for operation, kind in chance.sample(FAULTS, len(FAULTS)):
            await world.fault(operation, kind)
        await asyncio.gather(*(shop(reservation, random.Random(chance.random())) for _ in range(SALES)))

        async def over() -> bool:
            for listener in listeners:
                assert not listener.done(), listener.exception()
            await reservation.settle()
            open_orders = await world.rows("SELECT order_id FROM orders WHERE state = 'PENDING'")
            live = await world.rows("SELECT order_id FROM payments WHERE live AND state <> 'CAPTURED'")
            undecided = {row["order_id"] for row in live}
            for row in open_orders:
                if row["order_id"] not in undecided:
                    await reservation.end(reservation.holds[row["order_id"]])
            due = await world.rows(
                "SELECT payment_id FROM payments WHERE due_at < UTC_TIMESTAMP(6) + INTERVAL 5 SECOND"
            )
            return not open_orders and not live and not due

        await wait_until(lambda: over(), timeout_s=60, interval_s=0.1)
        for listener in listeners:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    ends = Counter[str]()
    for sale in reservation.holds.values():
        state = (await sale.order())["state"]
        await sale.ends(state)
        assert (state == "CONFIRMED") == (reservation.ended[sale.hold_id] == "sold")
        codes = await sale.codes()
        assert "contradiction" not in codes
        kinds = Counter(payload.kind for payload in await world.staged(sale.hold_id))
        assert kinds["order.confirmed"] + kinds["order.failed"] == 1
        assert kinds["ticket.issued"] == kinds["order.confirmed"]
        ends[state] += 1
    assert set(ends) == {"CONFIRMED", "FAILED"}
