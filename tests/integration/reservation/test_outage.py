"""Postgres goes away and comes back: nothing is promised meanwhile, nothing promised is lost, nobody has to restart."""

import asyncio

from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Answer, Buyer, Shop
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events import new_id


async def test_requests_are_told_to_come_again_and_then_served(
    replica: Replica, postgres_server: RunningServer[PostgresServer]
) -> None:
    shop = replica.shop
    event = await shop.event(seats=2)
    before = await Buyer(shop).hold(event, event.seats[:1])
    postgres_server.stop()
    try:
        refused = await asyncio.gather(
            _once(shop, event.event_id, event.seats[1:]), shop.call("GET", f"/api/v1/events/{event.event_id}")
        )
        for answer in refused:
            assert (answer.status, answer.code) == (503, "store_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
    finally:
        postgres_server.start()
    assert (await Buyer(shop).ask(event, event.seats[1:])).status == 201
    assert (await before.read_hold()).body["state"] == "HELD"


async def test_killed_in_the_middle_of_a_rush_nothing_acknowledged_is_lost_or_doubled(
    dsn: str, replicas: list[Replica], postgres_server: RunningServer[PostgresServer]
) -> None:
    event = await replicas[0].shop.event(seats=60)
    placed: list[Answer] = []

    async def insist(number: int) -> Answer:
        answer = await Buyer(replicas[number % 2].shop).ask(event, [event.seats[number % 60]])
        placed.append(answer)
        return answer

    rush = [asyncio.create_task(insist(number)) for number in range(120)]
    await wait_until(lambda: len(placed) >= 10)
    postgres_server.kill()
    await asyncio.to_thread(postgres_server.start)
    answers = await asyncio.gather(*rush)
    assert {answer.status for answer in answers} <= {201, 409}
    assert sum(answer.status == 201 for answer in answers) == 60
    truth = await Truth.connect(dsn)
    try:
        owners = await truth.owners(event.event_id)
        promised = {
            answer.body["lines"][0]["unit_id"]: answer.body["hold_id"] for answer in answers if answer.status == 201
        }
        assert owners == promised
        for hold_id in promised.values():
            assert await truth.kinds_of(hold_id) == ["hold.placed"]
    finally:
        await truth.close()


async def _once(shop: Shop, event_id: str, seats: list[str]) -> Answer:
    wish = {"event_id": event_id, "buyer_id": "ann", "seats": seats}
    return await shop.call("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
