"""A store is really restored to an older copy while sales go on: everything flows again, and what was lost is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.accounts import all_confirmed
from tests.support.buyer import Buyer, Event, Purchase, Shop
from tests.support.restoring import Restoring
from tests.support.ring import Ring
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(400)
PLACES = 400
HEALED_S = 90  # on a busy machine


@pytest.fixture
def restoring(ring: Ring, tmp_path: Path) -> Restoring:
    return Restoring(ring, tmp_path)


async def buy(event: Event) -> Purchase:
    """A place that is paid for, and that its buyer sees confirmed."""
    purchase = await Buyer(event.shop).hold(event, standing=1)
    await purchase.pay_through()
    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=HEALED_S)
    return purchase


async def buy_many(event: Event, count: int) -> list[Purchase]:
    return list(await asyncio.gather(*(buy(event) for _ in range(count))))


@asynccontextmanager
async def traffic(event: Event) -> AsyncIterator[None]:
    """Buyers who come one after the other, whatever becomes of their purchases."""

    async def one() -> None:
        answer = await Buyer(event.shop).ask(event, standing=1)
        if answer.status == 201:
            await Purchase(Buyer(event.shop), answer.body["hold_id"], answer.body["token"]).pay()

    async def keep_coming() -> None:
        async with asyncio.TaskGroup() as buyers:
            while True:
                buyers.create_task(one())
                await asyncio.sleep(0.25)

    coming = asyncio.create_task(keep_coming())
    try:
        yield
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def healed(restoring: Restoring) -> None:
    await wait_until(restoring.ends_agree, timeout_s=HEALED_S, interval_s=0.5)


async def settled_by_a_person(restoring: Restoring, *expected: tuple[str, str, str]) -> None:
    """The audit tells of exactly that (where, what, of which stream) until each is resolved."""
    assert await restoring.findings() == set(expected)
    text = (await restoring.audit()).out
    for at, what, stream in expected:
        assert f"{at}: {what} {stream}" in text
        if what == "phantom":
            listed = await restoring.stream(at, "phantoms", stream)
            assert (listed.code, listed.out.count("  key ")) == (1, listed.out.count("\n"))
        assert (await restoring.audit("resolve", what, stream, "--note", "this was a test")).code == 0
    said = await restoring.audit()
    assert (said.code, said.out.splitlines()[-1]) == (0, "nothing is unresolved")


async def test_reservation_restored_to_an_older_copy(shop: Shop, ring: Ring, restoring: Restoring) -> None:
    before, lost = await shop.event(standing=PLACES), await shop.event(standing=PLACES)
    kept = await buy_many(before, 5)
    async with traffic(lost):
        copy = await restoring.copy("reservation")
        await buy_many(lost, 5)
        await restoring.restore("reservation", copy)
        await ring.ready()
        kept += await buy_many(before, 5)
    await healed(restoring)
    await all_confirmed(ring, before, kept, price_minor=1500)
    await settled_by_a_person(restoring, ("reservation", "fork", "reservation"), ("billing", "phantom", "reservation"))


async def test_billing_restored_to_an_older_copy(shop: Shop, ring: Ring, restoring: Restoring) -> None:
    before, lost = await shop.event(standing=PLACES), await shop.event(standing=PLACES)
    kept = await buy_many(before, 5)
    async with traffic(lost):
        copy = await restoring.copy("billing")
        gone = await buy_many(lost, 5)
        await restoring.restore("billing", copy)
        await ring.ready()
        for purchase in gone:  # reservation has told of them again
            await wait_until(purchase.order, timeout_s=HEALED_S)
        kept += await buy_many(before, 5)
    await healed(restoring)
    await all_confirmed(ring, before, kept, price_minor=1500)
    await settled_by_a_person(restoring, ("billing", "fork", "billing"), ("portal", "phantom", "billing"))


async def test_portal_restored_to_an_older_copy(shop: Shop, ring: Ring, restoring: Restoring) -> None:
    event = await shop.event(standing=PLACES)
    sales = await buy_many(event, 5)
    async with traffic(await shop.event(standing=PLACES)):
        copy = await restoring.copy("portal")
        sales += await buy_many(event, 5)
        await restoring.restore("portal", copy)
        await ring.ready()
        sales += await buy_many(event, 5)
        await all_confirmed(ring, event, sales, price_minor=1500)  # the lost ones too, by way of bridge and RabbitMQ
    await healed(restoring)
    await settled_by_a_person(restoring, ("portal", "fork", "portal"), ("reservation", "phantom", "portal"))
