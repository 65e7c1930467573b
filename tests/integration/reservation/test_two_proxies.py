"""Buyers while one of the two HAProxies is killed or freezes: a retry at most, and holds go on within seconds."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise

import aiohttp
import pytest

from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Answer, Buyer, Shop
from tests.support.proxies import Proxy, two_proxies
from tests.support.waiting import wait_until

SLACK_S = 1.0  # of a machine under load


@pytest.fixture
def proxies(dsn: str) -> Iterator[tuple[Proxy, Proxy]]:
    with two_proxies(port_of(dsn)) as both:
        yield both


def port_of(dsn: str) -> int:
    return int(dsn.rpartition(":")[2].partition("/")[0])


@pytest.fixture
async def shop(dsn: str, proxies: tuple[Proxy, Proxy], http: aiohttp.ClientSession) -> AsyncIterator[Shop]:
    hosts = ",".join(proxy.address for proxy in proxies)
    replica = await Replica.start(dsn.replace(f"127.0.0.1:{port_of(dsn)}", hosts), http)
    yield replica.shop
    await replica.stop()


class Rush:
    """Buyers who come one every 10 ms, each for a seat of his own, whatever happens."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.acknowledged_at: list[float] = []
        self.answers: list[Answer] = []
        self._buyers: list[asyncio.Task[None]] = []

    async def arrive(self, count: int) -> None:
        event = await self.shop.event(seats=count)
        for seat in event.seats:
            self._buyers.append(asyncio.create_task(self._buy(event, seat)))
            await asyncio.sleep(0.01)
        await asyncio.gather(*self._buyers)

    async def _buy(self, event, seat: str) -> None:  # type: ignore[no-untyped-def]
        answer = await Buyer(self.shop).ask(event, [seat])
        self.acknowledged_at.append(time.monotonic())
        self.answers.append(answer)

    def longest_gap_s(self) -> float:
        return max(after - before for before, after in pairwise(self.acknowledged_at))


@pytest.mark.parametrize(("fault", "gap_s"), [(Proxy.kill, 1.0), (Proxy.freeze, 2.0)])
async def test_holds_go_on(
    shop: Shop, proxies: tuple[Proxy, Proxy], dsn: str, fault: Callable[[Proxy], None], gap_s: float
) -> None:
    rush = Rush(shop)
    arriving = asyncio.create_task(rush.arrive(400))
    await wait_until(lambda: len(rush.answers) >= 50)
    fault(proxies[0])
    await arriving
    print(f"{fault.__name__}: longest gap {rush.longest_gap_s():.3f} s")
    assert rush.longest_gap_s() < gap_s + SLACK_S
    assert {answer.status for answer in rush.answers} == {201}
    truth = await Truth.connect(dsn)
    try:
        hold_ids = [answer.body["hold_id"] for answer in rush.answers]
        assert len(set(hold_ids)) == 400
        staged = await truth.conn.fetch(
            "SELECT event_key, count(*) FROM delivery_outbox WHERE event_key = ANY($1) GROUP BY event_key", hold_ids
        )
        assert {row["event_key"]: row["count"] for row in staged} == dict.fromkeys(hold_ids, 1)
    finally:
        await truth.close()
