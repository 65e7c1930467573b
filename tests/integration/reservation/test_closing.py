"""An event that is closed takes no new holds; those it has go on."""

import asyncio

import pytest

from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Answer, Buyer, Event, Shop
from ticketflow.events import new_id

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


async def switch(shop: Shop, event_id: str, verb: str) -> Answer:
    headers = {"Authorization": f"Bearer {shop.admin_key}"}
    return await shop.call("POST", f"/api/v1/admin/events/{event_id}/{verb}", headers=headers)


async def closed_at(shop: Shop, event: Event) -> str | None:
    """As everybody sees it."""
    at: str | None = (await event.page())["closed_at"]
    return at


async def test_closed_it_sells_nothing_and_opened_again_it_does(shop: Shop) -> None:
    event = await shop.event(seats=1, standing=1)
    assert await closed_at(shop, event) is None
    closed = await switch(shop, event.event_id, "close")
    assert closed.status == 200
    assert closed.body == (await shop.call("GET", f"/api/v1/events/{event.event_id}")).body
    assert await closed_at(shop, event) is not None
    key = new_id()
    refused = await Buyer(shop).ask(event, event.seats, standing=1, key=key)
    assert (refused.status, refused.code) == (409, "event_closed")

    opened = await switch(shop, event.event_id, "open")
    assert (opened.status, opened.body["closed_at"]) == (200, None)
    assert (await Buyer(shop).ask(event, event.seats, standing=1)).status == 201


async def test_closing_twice_keeps_the_first_time(shop: Shop) -> None:
    event = await shop.event(seats=1)
    first = (await switch(shop, event.event_id, "close")).body["closed_at"]
    assert (await switch(shop, event.event_id, "close")).body["closed_at"] == first
    for _ in range(2):
        assert (await switch(shop, event.event_id, "open")).body["closed_at"] is None


async def test_a_hold_from_before_is_paid_and_settled_and_released(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=2)
    paid, given_up = [await Buyer(replica.shop).hold(event, [seat]) for seat in event.seats]
    await switch(replica.shop, event.event_id, "close")
    await replica.settle(paid.hold_id)
    assert (await given_up.release()).status == 200
    assert await event.states() == {"free": 1, "held": 0, "sold": 1}
    await truth.check([event.event_id])


async def test_its_own_key_still_answers_a_buyer_from_before(shop: Shop) -> None:
    event = await shop.event(seats=1)
    buyer, key = Buyer(shop), new_id()
    first = await buyer.ask(event, event.seats, key=key)
    await switch(shop, event.event_id, "close")
    again = await buyer.ask(event, event.seats, key=key)
    assert (again.status, again.body) == (201, first.body)


async def test_a_rush_meets_a_closed_door(replicas: list[Replica], truth: Truth) -> None:
    event = await replicas[0].shop.event(standing=60)
    asking = [Buyer(replicas[n % 2].shop).ask(event, standing=1) for n in range(60)]
    answers, _ = await asyncio.gather(asyncio.gather(*asking), switch(replicas[1].shop, event.event_id, "close"))
    assert {answer.code for answer in answers if answer.status != 201} <= {"event_closed"}
    held = sum(answer.status == 201 for answer in answers)
    assert (await event.states())["held"] == held
    assert (await Buyer(replicas[0].shop).ask(event, standing=1)).code == "event_closed"
    await truth.check([event.event_id])


@pytest.mark.parametrize("verb", ["close", "open"])
async def test_what_cannot_be_closed_or_opened(shop: Shop, verb: str) -> None:
    assert (await switch(shop, UNKNOWN, verb)).code == "event_unknown"
    assert (await switch(shop, "17", verb)).code == "bad_path_id"
    event = await shop.event(seats=1)
    answer = await shop.call("POST", f"/api/v1/admin/events/{event.event_id}/{verb}")
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert await closed_at(shop, event) is None
