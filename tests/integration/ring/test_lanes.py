"""The number of lanes changes while people buy, and relays die in the middle of it."""

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.integration.ring.laning import at_rest, holders, received_by_key, set_lanes, staged_by_key
from tests.support.accounts import all_confirmed
from tests.support.buyer import Buyer, Purchase, Shop
from tests.support.ring import Ring
from tests.support.waiting import wait_until

SEATS = 40
HESITANT = 3  # seats of people who hold and let go, again and again: two events of a key close together
CHANGE_S = 60


@pytest.fixture
async def one_lane_again(ring: Ring) -> AsyncIterator[None]:
    yield
    await asyncio.gather(
        *(wait_until(partial(set_lanes, ring, service, 1), CHANGE_S) for service in ("reservation", "billing"))
    )


async def shared(ring: Ring, lanes: int) -> bool:
    """Whether both replicas of reservation relay, each its half; a lane that is retired still has a relay."""
    found = await asyncio.to_thread(holders, ring)
    assert sorted(map(len, found.values())) == [lanes // 2, lanes - lanes // 2], found
    return True


@pytest.mark.timeout(240)
async def test_sales_go_on_while_the_number_of_lanes_changes_and_relays_die(
    shop: Shop, ring: Ring, one_lane_again: None
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    event = await shop.event(seats=SEATS + HESITANT)
    over = asyncio.Event()
    let_go: list[Purchase] = []

    async def buy(seat: str) -> Purchase:
        await asyncio.sleep(chance.uniform(0, 8))
        purchase = await Buyer(shop).hold(event, [seat])
        await purchase.pay_through()
        return purchase

    async def hesitate(seat: str) -> None:
        while not over.is_set():
            purchase = await Buyer(shop).hold(event, [seat])
            let_go.append(purchase)
            assert (await purchase.release()).status == 200
            await asyncio.sleep(0.02)

    async def change(service: str, lanes: int) -> None:
        await wait_until(partial(set_lanes, ring, service, lanes), CHANGE_S)

    sales = [asyncio.create_task(buy(seat)) for seat in event.seats[:SEATS]]
    undecided = asyncio.gather(*(hesitate(seat) for seat in event.seats[SEATS:]))
    try:
        await asyncio.gather(change("billing", 2), change("reservation", 4))
        await wait_until(lambda: shared(ring, 4), CHANGE_S)
        relays = [chance.choice(["reservation-1", "reservation-2"]), "billing-listener"]
        await asyncio.gather(change("billing", 3), change("reservation", 2), *(ring.kill(relay) for relay in relays))
        await wait_until(lambda: shared(ring, 4), CHANGE_S)
        purchases = await asyncio.gather(*sales)
    finally:
        over.set()
        await asyncio.gather(undecided, return_exceptions=True)
    await all_confirmed(ring, event, purchases)
    await wait_until(lambda: asyncio.to_thread(at_rest, ring), CHANGE_S)
    staged = staged_by_key(ring, {purchase.hold_id for purchase in (*purchases, *let_go)})
    assert {len(events) for events in staged.values()} == {2}
    assert received_by_key(ring, staged) == staged
