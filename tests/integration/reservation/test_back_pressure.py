"""Billing stalls: it takes what the window allows and acknowledges nothing. Buyers do not notice."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence

import aiohttp
import asyncpg

from reservation import service as reservation
from tests.integration.reservation.house import ADMIN_KEY, settings_for
from tests.integration.reservation.test_service import Billing, own_dsn  # noqa: F401 - a fixture
from tests.support.buyer import Buyer, Shop
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from ticketflow.feed import Address, FeedServer, Hello
from ticketflow.runtime.service import Service

HOLDS = 60
BACKLOG = 5_000  # more than the window takes
# Of medians, so that a standstill of the machine in one phase does not decide.
SLOWER_MAX = 3.0
SLACK_S = 0.1


class StallingBilling(Billing):
    def __init__(self) -> None:
        super().__init__()
        self.flows = asyncio.Event()
        self.flows.set()
        self.held_up = 0

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        self.held_up += 1
        await self.flows.wait()
        self.held_up -= 1
        return await super().apply(hello, first_seq, bodies)


async def test_a_billing_that_stalls_does_not_slow_the_buyers_down(
    own_dsn: str,  # noqa: F811
    http: aiohttp.ClientSession,
    record_property: Callable[[str, object], None],
) -> None:
    billing = StallingBilling()
    receiver = FeedServer(billing, host="127.0.0.1", port=0)
    await receiver.start()
    running, port = Service("reservation", "r0"), free_port()
    await reservation.serve(
        running,
        settings_for(
            own_dsn,
            http_port=port,
            feed_port=free_port(),
            billing_feed=(Address("127.0.0.1", receiver.port),),
            instance="r0",
        ),
    )
    shop = Shop(http, f"http://127.0.0.1:{port}", ADMIN_KEY)
    try:
        event = await shop.event(seats=2 * HOLDS + 5)
        await held(shop, event, event.seats[:5])
        await wait_until(lambda: len(billing.events) == 5)
        before_s = await held(shop, event, event.seats[5 : 5 + HOLDS])
        await wait_until(lambda: len(billing.events) == 5 + HOLDS)
        billing.flows.clear()
        await repeat_in_the_outbox(own_dsn, BACKLOG)
        await wait_until(lambda: billing.held_up > 0)
        during_s = await held(shop, event, event.seats[5 + HOLDS :])
        assert billing.held_up > 0
        assert len(billing.events) == 5 + HOLDS
        assert during_s < SLOWER_MAX * before_s + SLACK_S, (before_s, during_s)
        told = f"a hold takes {before_s * 1000:.1f} ms, and {during_s * 1000:.1f} ms while billing stalls (medians)"
        record_property("told", told)
        billing.flows.set()
        await wait_until(lambda: len(billing.events) == 5 + 2 * HOLDS + BACKLOG, timeout_s=60)
    finally:
        billing.flows.set()
        await running.drain(5)
        await receiver.drain(2)
    assert not running.failed


async def held(shop: Shop, event: object, seats: Sequence[str]) -> float:
    """A hold for each of ``seats``, one after another: the median of the seconds each took."""
    took_s = []
    for seat in seats:
        began = time.perf_counter()
        answer = await Buyer(shop).ask(event, [seat])  # type: ignore[arg-type]
        took_s.append(time.perf_counter() - began)
        assert answer.status == 201, answer
    return statistics.median(took_s)


async def repeat_in_the_outbox(dsn: str, count: int) -> None:
    """``count`` events more, as if buyers had come in great numbers."""
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(
            """
            INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body)
            SELECT o.stream, gen_random_uuid(), o.event_key, o.kind, o.body
            FROM (SELECT * FROM delivery_outbox LIMIT 1) AS o, generate_series(1, $1)
            """,
            count,
        )
    finally:
        await conn.close()
