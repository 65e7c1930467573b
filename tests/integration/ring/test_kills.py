"""Processes die in the middle of sales and come back in any order: every sale completes once and the stores agree."""

import asyncio
import random

import pytest

from tests.support.accounts import all_confirmed
from tests.support.buyer import Buyer, Event, Purchase, Shop
from tests.support.ring import Ring

SERVICES = ["reservation-1", "reservation-2", "billing-web", "billing-listener", "bridge", "portal", "sandbox"]


async def buy(event: Event, seat: str) -> Purchase:
    purchase = await Buyer(event.shop).hold(event, [seat])
    await purchase.pay_through()
    return purchase


@pytest.mark.parametrize("program", SERVICES)
async def test_a_service_killed_in_mid_sale(shop: Shop, ring: Ring, program: str) -> None:
    event = await shop.event(seats=20)
    sales = [asyncio.create_task(buy(event, seat)) for seat in event.seats]
    await asyncio.sleep(0.05)  # some requests are under way: the very moment does not matter
    await ring.kill(program)
    await all_confirmed(ring, event, await asyncio.gather(*sales))


@pytest.mark.timeout(180)
async def test_all_services_killed_at_once_and_started_in_random_order(shop: Shop, ring: Ring) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    event = await shop.event(seats=20)
    sales = [asyncio.create_task(buy(event, seat)) for seat in event.seats]
    await asyncio.sleep(0.2)
    await asyncio.gather(*(ring.stop_program(program, sigkill=True) for program in SERVICES))
    for program in chance.sample(SERVICES, len(SERVICES)):
        await ring.start(program)
    await all_confirmed(ring, event, await asyncio.gather(*sales))


@pytest.mark.timeout(240)
async def test_kills_at_random_while_sales_go_on(shop: Shop, ring: Ring) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    event = await shop.event(seats=40)

    async def later(seat: str) -> Purchase:
        await asyncio.sleep(chance.uniform(0, 6))
        return await buy(event, seat)

    sales = [asyncio.create_task(later(seat)) for seat in event.seats]
    for _ in range(6):
        await asyncio.sleep(1)
        await ring.kill(chance.choice(SERVICES))
    await all_confirmed(ring, event, await asyncio.gather(*sales))
