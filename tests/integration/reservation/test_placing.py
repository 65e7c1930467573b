"""Placing holds: one owner each, all or none, nothing oversold and nothing falsely sold out."""

import asyncio
import random
from collections import Counter

import pytest

from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Answer, Buyer, Shop
from tests.support.running import RunningServer
from ticketflow.events import HoldPlaced, hold_token, new_id
from ticketflow.events.ids import time_of_us


async def test_a_hold_says_all_its_buyer_needs(shop: Shop) -> None:
    event = await shop.event(seats=3, standing=3)
    answer = await Buyer(shop, "ann").ask(event, event.seats[:2], standing=1)
    hold = answer.body
    assert answer.status == 201
    assert hold["order_id"] == hold["hold_id"]
    assert hold["token"] == hold_token.issue(["new-token-key"], hold["hold_id"])
    assert (hold["state"], hold["buyer_id"], hold["event_id"]) == ("HELD", "ann", event.event_id)
    assert [(line["tier"], line["label"], line["price_minor"]) for line in hold["lines"]] == [
        ("seated", "A-1", 2500),
        ("seated", "A-2", 2500),
        ("standing", "standing", 1500),
    ]
    assert [line["unit_id"] for line in hold["lines"][:2]] == event.seats[:2]
    assert (hold["total_minor"], hold["currency"]) == (6500, "EUR")
    assert hold["placed_at"].endswith("Z")


async def test_the_event_in_the_outbox_says_the_same(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=1, hold_ttl_s=120, grace_s=30)
    headers = {"Idempotency-Key": new_id(), "X-Correlation-Id": "walk-7"}
    answer = await shop.call("POST", "/api/v1/holds", Buyer(shop, "ann").wish(event, event.seats), headers=headers)
    hold = answer.body
    [envelope] = await truth.envelopes_of(hold["hold_id"])
    [placed] = await truth.events_of(hold["hold_id"])
    assert isinstance(placed, HoldPlaced)
    assert (envelope.correlation_id, envelope.key) == ("walk-7", hold["hold_id"])
    assert (placed.buyer_id, placed.currency, placed.total_minor, placed.grace_s) == ("ann", "EUR", 2500, 30)
    assert placed.event_name.startswith("Evening")
    assert [line.label for line in placed.lines] == ["A-1"]
    assert placed.expires_at_us - placed.placed_at_us == 120_000_000
    assert abs(placed.placed_at_us - time_of_us(hold["hold_id"])) < 5_000_000


async def test_of_two_buyers_for_one_seat_one_gets_it(replicas: list[Replica]) -> None:
    event = await replicas[0].shop.event(seats=1)
    answers = await asyncio.gather(*(Buyer(replica.shop).ask(event, event.seats) for replica in replicas))
    assert sorted(answer.status for answer in answers) == [201, 409]
    [refused] = [answer for answer in answers if answer.status == 409]
    assert (refused.code, refused.body["unavailable"]) == ("seat_unavailable", event.seats)


async def test_a_hold_gets_all_its_places_or_none(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=3, standing=1)
    await Buyer(shop).hold(event, event.seats[1:2])
    by_seat = await Buyer(shop).ask(event, event.seats, standing=1)
    by_tier = await Buyer(shop).ask(event, event.seats[:1], standing=2)
    assert (by_seat.code, by_seat.body["unavailable"]) == ("seat_unavailable", event.seats[1:2])
    assert (by_tier.code, by_tier.body["unavailable"]) == ("seat_unavailable", [{"tier": "standing", "free": 1}])
    assert await truth.states(event.event_id) == [("free", 3), ("held", 1)]


async def test_two_hundred_buyers_on_twenty_seats_get_twenty_distinct_ones(
    replicas: list[Replica], truth: Truth
) -> None:
    event = await replicas[0].shop.event(seats=20)
    chance = random.Random(20)
    answers = await asyncio.gather(
        *(Buyer(replicas[n % 2].shop).ask(event, [chance.choice(event.seats)]) for n in range(200))
    )
    assert Counter(answer.status for answer in answers) == {201: 20, 409: 180}
    assert sorted(_units(answers)) == sorted(event.seats)
    assert await truth.states(event.event_id) == [("held", 20)]
    await truth.check([event.event_id])


async def test_of_general_admission_every_place_is_given_and_none_twice(replicas: list[Replica], truth: Truth) -> None:
    """The last places are wanted by many at once: nobody may be told `sold out` of what others let go."""
    event = await replicas[0].shop.event(standing=60)
    chance = random.Random(60)
    wishes = [chance.choice((1, 2, 3)) for _ in range(60)]
    answers = await asyncio.gather(
        *(Buyer(replicas[n % 2].shop).ask(event, standing=wish) for n, wish in enumerate(wishes))
    )
    units = _units(answers)
    assert {answer.status for answer in answers} == {201, 409}
    assert len(units) == len(set(units))
    free = 60 - len(units)
    refused = [wish for wish, answer in zip(wishes, answers, strict=True) if answer.status == 409]
    assert all(wish > free for wish in refused), "somebody was refused what is still there"
    await truth.check([event.event_id])


async def test_general_admission_in_ones_sells_out_exactly(replicas: list[Replica]) -> None:
    event = await replicas[0].shop.event(standing=40)
    answers = await asyncio.gather(*(Buyer(replicas[n % 2].shop).ask(event, standing=1) for n in range(80)))
    assert Counter(answer.status for answer in answers) == {201: 40, 409: 40}
    assert {answer.body["unavailable"][0]["free"] for answer in answers if answer.status == 409} == {0}


async def test_places_in_the_hands_of_who_gives_up_are_not_sold_out(replica: Replica, truth: Truth) -> None:
    """SKIP LOCKED alone would answer `sold out` here; the second look waits."""
    event = await replica.shop.event(standing=2)
    transaction = truth.conn.transaction()
    await transaction.start()
    await truth.conn.execute("SELECT FROM units WHERE event_id = $1 FOR NO KEY UPDATE", event.event_id)
    asking = asyncio.create_task(Buyer(replica.shop).ask(event, standing=2))
    done, _ = await asyncio.wait({asking}, timeout=0.3)
    assert not done, "it waits for the one who has them"
    await transaction.rollback()
    assert (await asking).status == 201


async def test_seats_seen_as_taken_and_then_given_back_are_never_taken_unlocked(
    replicas: list[Replica], truth: Truth
) -> None:
    """Release and ask for the same seats all the time: whatever is answered, the rows stay consistent."""
    event = await replicas[0].shop.event(seats=2)

    async def take_and_give_back(replica: Replica) -> int:
        got = 0
        for _ in range(15):
            buyer = Buyer(replica.shop)
            answer = await buyer.ask(event, event.seats)
            assert answer.status in (201, 409)
            if answer.status == 201:
                got += 1
                headers = {"X-Hold-Token": answer.body["token"]}
                path = f"/api/v1/holds/{answer.body['hold_id']}"
                assert (await replica.shop.call("DELETE", path, headers=headers)).status == 200
        return got

    got = await asyncio.gather(*(take_and_give_back(replicas[n % 2]) for n in range(6)))
    assert sum(got) > 0
    assert await truth.states(event.event_id) == [("free", 2)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_overlapping_wishes_in_any_order_never_deadlock(
    replicas: list[Replica], truth: Truth, postgres_server: RunningServer[PostgresServer], seed: int
) -> None:
    """A deadlock would be retried and seen by nobody: the server's log tells."""
    event = await replicas[0].shop.event(seats=12, standing=12, seats_per_hold_max=12)
    chance = random.Random(seed)

    async def buy(number: int) -> list[Answer]:
        answers = []
        for _ in range(6):
            shop = replicas[number % 2].shop
            seats = chance.sample(event.seats, chance.randint(1, 5))
            answer = await shop.call(
                "POST",
                "/api/v1/holds",
                Buyer(shop).wish(event, seats, standing=chance.choice((0, 0, 1, 3))),
                headers={"Idempotency-Key": new_id()},
            )
            answers.append(answer)
            if answer.status == 201 and chance.random() < 0.8:
                headers = {"X-Hold-Token": answer.body["token"]}
                await shop.call("DELETE", f"/api/v1/holds/{answer.body['hold_id']}", headers=headers)
        return answers

    before = postgres_server.log.read_text().count("deadlock detected")
    answers = [answer for some in await asyncio.gather(*(buy(n) for n in range(24))) for answer in some]
    assert {answer.status for answer in answers} == {201, 409}
    assert postgres_server.log.read_text().count("deadlock detected") == before
    await truth.check([event.event_id])


async def test_an_event_that_has_begun_sells_nothing(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=1)
    await truth.conn.execute("UPDATE events SET starts_at = clock_timestamp() WHERE event_id = $1", event.event_id)
    answer = await Buyer(shop).ask(event, event.seats)
    assert (answer.status, answer.code) == (409, "event_closed")


async def test_a_seat_of_another_event_is_unknown(shop: Shop) -> None:
    event, other = await shop.event(seats=1), await shop.event(seats=1, standing=1)
    answer = await Buyer(shop).ask(event, other.seats)
    assert (answer.status, answer.code, answer.body["seats"]) == (404, "seat_unknown", other.seats)


async def test_a_general_place_cannot_be_chosen_by_its_id(shop: Shop) -> None:
    event = await shop.event(standing=1)
    first = await Buyer(shop).ask(event, standing=1)
    answer = await Buyer(shop).ask(event, [first.body["lines"][0]["unit_id"]])
    assert (answer.status, answer.code) == (404, "seat_unknown")


async def test_a_numbered_tier_cannot_be_had_by_quantity(shop: Shop) -> None:
    event = await shop.event(seats=1)
    wish = Buyer(shop).wish(event) | {"general": [{"tier": "seated", "quantity": 1}]}
    answer = await shop.call("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
    assert (answer.status, answer.code, answer.body["tier"]) == (404, "tier_unknown", "seated")


async def test_an_event_may_allow_fewer_places_to_a_hold(shop: Shop) -> None:
    event = await shop.event(seats=3, standing=3, seats_per_hold_max=3)
    assert (await Buyer(shop).ask(event, event.seats[:2], standing=2)).code == "too_many_seats"
    assert (await Buyer(shop).ask(event, event.seats[:2], standing=1)).status == 201


def _units(answers: list[Answer]) -> list[str]:
    return [line["unit_id"] for answer in answers if answer.status == 201 for line in answer.body["lines"]]
