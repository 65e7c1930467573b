"""Postgres, MariaDB and RabbitMQ go away and come back: clear answers meanwhile, nothing lost, everything drains."""

import asyncio
from contextlib import suppress

from tests.support.accounts import all_confirmed
from tests.support.buyer import Answer, Buyer, Purchase, Shop
from tests.support.ring import Ring
from tests.support.waiting import wait_until
from ticketflow.events import new_id


def assert_come_back_later(answer: Answer) -> None:
    assert answer.status == 503, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.code in ("store_unavailable", "outcome_unknown", "timed_out", "upstream_unavailable")


async def test_postgres_stopped_and_started(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=3)
    before = await Buyer(shop).hold(event, event.seats[:1])
    await wait_until(lambda: before.order_is("PENDING"))  # it has left reservation
    await ring.stop_program("postgres")
    try:
        wish = Buyer(shop).wish(event, event.seats[1:2])
        assert_come_back_later(await shop.call("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()}))
        assert_come_back_later(await shop.call("GET", f"/api/v1/events/{event.event_id}"))
        assert_come_back_later(await shop.call("GET", f"/api/v1/sales/{before.hold_id}"))
        paying = asyncio.create_task(before.pay())  # billing does not need Postgres
        assert (await paying).status == 201
    finally:
        await ring.start("postgres")
    after = await Buyer(shop).hold(event, event.seats[1:2])
    assert (await after.pay()).status == 201
    await all_confirmed(ring, event, [before, after])


async def test_mariadb_stopped_and_started(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=3)
    before = await Buyer(shop).hold(event, event.seats[:1])
    await ring.stop_program("mariadb")
    try:
        assert_come_back_later(await before.try_to_pay())
        during = await Buyer(shop).hold(event, event.seats[1:2])  # holds do not need MariaDB
    finally:
        await ring.start("mariadb")
    for purchase in (before, during):
        assert (await purchase.pay()).status == 201
    await all_confirmed(ring, event, [before, during])


async def test_rabbitmq_stopped_and_started(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=3)
    before = await Buyer(shop).hold(event, event.seats[:1])
    await ring.stop_program("rabbitmq")
    try:
        during = await Buyer(shop).hold(event, event.seats[1:2])
        for purchase in (before, during):  # neither holds nor payments wait for RabbitMQ
            assert (await purchase.pay()).status == 201
    finally:
        await ring.start("rabbitmq")
    await all_confirmed(ring, event, [before, during])


async def test_every_server_killed_under_load(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=24)

    async def buy(seat: str) -> Purchase:
        purchase = await Buyer(shop).hold(event, [seat])
        await purchase.pay_through()
        return purchase

    sales = [asyncio.create_task(buy(seat)) for seat in event.seats]
    for server in ("postgres", "mariadb", "rabbitmq"):
        await asyncio.sleep(0.1)
        await ring.kill(server)
    await all_confirmed(ring, event, await asyncio.gather(*sales))


async def test_garbage_at_the_feeds_hurts_nobody(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=1)
    for port in ring.feed_ports:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10)
        with suppress(ConnectionError):
            answer = await asyncio.wait_for(reader.read(), timeout=10)
            assert len(answer) < 100, "an alert of TLS, or nothing"
        writer.close()
    purchase = await Buyer(shop).hold(event, event.seats)
    await purchase.pay()
    await all_confirmed(ring, event, [purchase])
