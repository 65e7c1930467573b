"""Orders while one of the two ProxySQLs is killed or freezes: they reach PENDING again within seconds, each once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise

import msgspec
import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.world import World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.proxies import Proxy, two_proxies
from tests.support.waiting import wait_until
from ticketflow.feed import Address

SLACK_S = 1.0  # of a machine under load


@pytest.fixture
def proxies(billing_database: DatabaseSettings) -> Iterator[tuple[Proxy, Proxy]]:
    with two_proxies(billing_database.database_hosts[0].port) as both:
        yield both


@pytest.fixture
async def world(
    billing_database: DatabaseSettings, proxies: tuple[Proxy, Proxy], provider_ready: ProviderProcess
) -> AsyncIterator[World]:
    hosts = tuple(Address.parse(proxy.address) for proxy in proxies)
    settings = msgspec.structs.replace(billing_database, database_hosts=hosts)
    async with World.opened(settings, provider_ready.url, PROVIDER_KEY) as opened:
        yield opened


@pytest.mark.parametrize(("fault", "gap_s"), [(Proxy.kill, 1.0), (Proxy.freeze, 2.0)])
async def test_orders_go_on(
    world: World, proxies: tuple[Proxy, Proxy], fault: Callable[[Proxy], None], gap_s: float
) -> None:
    pending_at: list[float] = []
    enough = asyncio.Event()

    async def keep_placing() -> None:
        while not enough.is_set():
            await world.placed()
            pending_at.append(time.monotonic())
            await asyncio.sleep(0.005)

    placing = asyncio.create_task(keep_placing())
    await wait_until(lambda: len(pending_at) >= 50)
    fault(proxies[0])
    before = len(pending_at)
    await wait_until(lambda: len(pending_at) >= before + 50)
    enough.set()
    await placing
    gap = max(after - before for before, after in pairwise(pending_at))
    print(f"{fault.__name__}: longest gap {gap:.3f} s")
    assert gap < gap_s + SLACK_S
    (orders,) = await world.rows("SELECT COUNT(*) AS n, SUM(state = 'PENDING') AS pending FROM orders")
    assert orders["n"] == orders["pending"] == len(pending_at)
    assert await world.rows("SELECT 1 FROM delivery_parked") == []
