"""Seats through nginx and two replicas: one owner each, all or none, and the same answer to the same key."""

import asyncio
import random

from tests.support.buyer import Buyer, Shop
from ticketflow.events import new_id


async def test_of_two_buyers_for_one_seat_one_gets_it(shop: Shop) -> None:
    event = await shop.event(seats=1)
    answers = await asyncio.gather(*(Buyer(shop).ask(event, event.seats) for _ in range(2)))
    assert sorted((answer.status, answer.code) for answer in answers if answer.status != 201) == [
        (409, "seat_unavailable")
    ]
    assert await event.states() == {"free": 0, "held": 1, "sold": 0}


async def test_a_hold_gets_all_its_seats_or_none(shop: Shop) -> None:
    event = await shop.event(seats=3, standing=2)
    first, second, third = event.seats
    await Buyer(shop).hold(event, [second])
    refused = await Buyer(shop).ask(event, [first, second, third], standing=1)
    assert (refused.status, refused.code) == (409, "seat_unavailable")
    assert second in str(refused.body["unavailable"])
    assert await event.states() == {"free": 4, "held": 1, "sold": 0}


async def test_two_hundred_buyers_on_twenty_seats_oversell_nothing(shop: Shop) -> None:
    event = await shop.event(seats=20)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    wishes = [chance.sample(event.seats, chance.choice((1, 1, 2, 3))) for _ in range(200)]
    answers = await asyncio.gather(*(Buyer(shop).ask(event, wish) for wish in wishes))
    assert {answer.status for answer in answers} == {201, 409}
    given = [line["unit_id"] for answer in answers if answer.status == 201 for line in answer.body["lines"]]
    assert len(given) == len(set(given))
    assert (await event.states())["held"] == len(given)
    assert {answer.code for answer in answers if answer.status == 409} == {"seat_unavailable"}


async def test_standing_places_are_sold_to_the_last_and_no_further(shop: Shop) -> None:
    event = await shop.event(standing=30)
    answers = await asyncio.gather(*(Buyer(shop).ask(event, standing=2) for _ in range(40)))
    assert sum(answer.status == 201 for answer in answers) == 15
    assert await event.states() == {"free": 0, "held": 30, "sold": 0}


async def test_one_key_ten_times_at_once_is_one_hold_and_ten_equal_answers(shop: Shop) -> None:
    event = await shop.event(seats=10)
    buyer, key = Buyer(shop), new_id()
    answers = await asyncio.gather(*(buyer.ask(event, event.seats[:2], key=key) for _ in range(10)))
    assert [answer.status for answer in answers] == [201] * 10
    assert all(answer.body == answers[0].body for answer in answers)
    assert await event.states() == {"free": 8, "held": 2, "sold": 0}


async def test_the_same_key_with_another_body_is_refused(shop: Shop) -> None:
    event = await shop.event(seats=2)
    buyer, key = Buyer(shop), new_id()
    await buyer.ask(event, event.seats[:1], key=key)
    other = await buyer.ask(event, event.seats[1:], key=key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")


async def test_a_post_without_a_key_is_refused(shop: Shop) -> None:
    event = await shop.event(seats=1)
    answer = await shop.call("POST", "/api/v1/holds", Buyer(shop).wish(event, event.seats))
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")


async def test_released_seats_are_free_again_and_only_their_owner_can_release_them(shop: Shop) -> None:
    event = await shop.event(seats=1)
    purchase = await Buyer(shop).hold(event, event.seats)
    stranger = await shop.call("DELETE", f"/api/v1/holds/{purchase.hold_id}", headers={"X-Hold-Token": "guess"})
    assert (stranger.status, stranger.code) == (403, "hold_token_wrong")
    assert (await purchase.release()).status == 200
    assert await event.states() == {"free": 1, "held": 0, "sold": 0}
    await Buyer(shop).hold(event, event.seats)
    assert (await purchase.release()).status == 200, "releasing twice is no error"
    assert await event.states() == {"free": 0, "held": 1, "sold": 0}, "and frees nobody else's seat"
