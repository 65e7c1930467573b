"""The whole service as one process runs it: feeds on both sides, workers, drain. The neighbours are played here."""

import asyncio
from collections.abc import Iterator, Sequence

import aiohttp
import pytest

from reservation import service as reservation
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import ADMIN_KEY, Truth, settings_for
from tests.support.buyer import Buyer, Shop
from tests.support.databases import create_postgres, drop_postgres
from tests.support.ports import free_port
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events import Envelope, SaleSettle, decode, encode, envelope_for, new_id
from ticketflow.feed import Address, FeedServer, Hello, Peer, Position, connect
from ticketflow.runtime.service import Service
from ticketflow.runtime.settings import Secret


class Billing:
    """Receives the stream; remembers in memory."""

    def __init__(self) -> None:
        self.events: list[Envelope] = []

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return Position(hello.epoch, len(self.events))

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        self.events += [decode(body) for body in bodies[len(self.events) + 1 - first_seq :]]
        return len(self.events)

    def kinds(self, hold_id: str) -> list[str]:
        return [event.kind for event in self.events if event.key == hold_id]


@pytest.fixture
def own_dsn(postgres_server: RunningServer[PostgresServer]) -> Iterator[str]:
    """A database of its own: its stream begins with this test."""
    database = create_postgres(postgres_server.server)
    reservation.migrate(settings_for(database.dsn))
    yield database.dsn
    drop_postgres(postgres_server.server, database)


async def test_a_sale_passes_through(own_dsn: str, http: aiohttp.ClientSession) -> None:
    billing = Billing()
    receiver = FeedServer(billing, host="127.0.0.1", port=0)
    await receiver.start()
    ports = free_port(), free_port()
    running = [Service("reservation", f"r{number}") for number in range(2)]
    for number, one in enumerate(running):
        settings = settings_for(
            own_dsn,
            http_port=ports[0] if number == 0 else free_port(),
            feed_port=ports[1] if number == 0 else free_port(),
            billing_feed=(Address("127.0.0.1", receiver.port),),
            instance=one.instance,
        )
        await reservation.serve(one, settings)
    shop = Shop(http, f"http://127.0.0.1:{ports[0]}", ADMIN_KEY)
    try:
        await _sell(shop, billing, ports[1])
    finally:
        for one in running:
            await one.drain(5)
        await receiver.drain(2)
    assert not any(one.failed for one in running)


async def _sell(shop: Shop, billing: Billing, feed_port: int) -> None:
    event = await shop.event(seats=2, hold_ttl_s=5, grace_s=0)
    sold, left = [await Buyer(shop).hold(event, [seat]) for seat in event.seats]
    await wait_until(lambda: billing.kinds(sold.hold_id) == ["hold.placed"])

    command = SaleSettle(hold_id=sold.hold_id, payment_id=new_id(), started_at_us=1)
    envelope = envelope_for(command, key=sold.hold_id, correlation_id="walk-9")
    hello = Hello(1, "portal", epoch=1, fence=1, last_seq=1, sender="portal")
    session = await connect([Address("127.0.0.1", feed_port)], hello)
    await session.send(1, [encode(envelope)])
    assert await session.wait_ack(5) == 1
    await session.close()

    await wait_until(lambda: billing.kinds(sold.hold_id) == ["hold.placed", "hold.sold"])
    [told] = [event for event in billing.events if event.kind == "hold.sold"]
    assert told.correlation_id == "walk-9"
    assert (await sold.read_hold()).body["state"] == "SOLD"
    await wait_until(lambda: billing.kinds(left.hold_id) == ["hold.placed", "hold.expired"], timeout_s=20)
    assert await event.states() == {"free": 1, "held": 0, "sold": 1}
    ready = await shop.call("GET", "/readyz")
    assert ready.status == 200, ready


async def test_it_starts_and_says_so_while_everything_else_is_down(http: aiohttp.ClientSession) -> None:
    port = free_port()
    nowhere = f"postgresql://a:b@127.0.0.1:{free_port()}/none"
    running = Service("reservation", "r0")
    await reservation.serve(running, settings_for(nowhere, http_port=port, feed_port=free_port()))
    shop = Shop(http, f"http://127.0.0.1:{port}", ADMIN_KEY)
    try:
        assert (await shop.call("GET", "/healthz")).status == 200
        ready = await shop.call("GET", "/readyz")
        assert (ready.status, list(ready.body["failing"])) == (503, ["postgres"])
        answer = await shop.call("GET", "/api/v1/events")
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "store_unavailable", "1")
    finally:
        await running.drain(5)


async def test_a_request_under_way_is_answered_before_it_stops(own_dsn: str, http: aiohttp.ClientSession) -> None:
    port = free_port()
    running = Service("reservation", "r0")
    await reservation.serve(running, settings_for(own_dsn, http_port=port, feed_port=free_port()))
    shop = Shop(http, f"http://127.0.0.1:{port}", ADMIN_KEY)
    event = await shop.event(seats=1)
    truth = await Truth.connect(own_dsn)
    try:
        async with truth.conn.transaction():
            await truth.conn.execute("SELECT FROM units WHERE event_id = $1 FOR NO KEY UPDATE", event.event_id)
            asking = asyncio.create_task(Buyer(shop).ask(event, event.seats))

            async def waits() -> bool:
                return bool(await truth.conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

            await wait_until(waits)
            draining = asyncio.create_task(running.drain(5))
        assert (await asking).status == 201
        await draining
    finally:
        await truth.close()


def test_settings_are_told_apart() -> None:
    assert "secret" not in repr(settings_for(Secret("postgresql://u:secret@h/d")))
