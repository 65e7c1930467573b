"""Everybody wants the same few seats at the same moment."""

import asyncio
import random
from collections import Counter

from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Answer, Buyer
from ticketflow.events import new_id

SEATS, BUYERS = 40, 800


async def test_a_hot_event_sells_out_to_the_last_seat_and_answers_everybody(
    replicas: list[Replica], truth: Truth
) -> None:
    """In any order, over two replicas: each seat has one owner, each loser is told what is not free, and nobody is left
    without an answer or told to come again."""
    for replica in replicas:
        replica.placing._batcher._wait_s = 60.0  # all at once: how long that takes is the machine's matter
    event = await replicas[0].shop.event(seats=SEATS)
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    wishes = [chance.sample(event.seats, chance.choice((1, 1, 2))) for _ in range(BUYERS)]

    async def buy(number: int) -> Answer:
        shop = replicas[number % 2].shop
        body = Buyer(shop).wish(event, wishes[number])
        return await shop.call("POST", "/api/v1/holds", body, headers={"Idempotency-Key": new_id()})

    answers = await asyncio.gather(*map(buy, range(BUYERS)))
    assert set(Counter(answer.status for answer in answers)) == {201, 409}
    owned = [line["unit_id"] for answer in answers if answer.status == 201 for line in answer.body["lines"]]
    assert len(owned) == len(set(owned)), "a seat has one owner"
    free = set(event.seats) - set(owned)
    refused = [set(wish) for wish, answer in zip(wishes, answers, strict=True) if answer.status == 409]
    assert not any(wish <= free for wish in refused), "nobody was refused what nobody has"
    for wish, answer in zip(wishes, answers, strict=True):
        if answer.status == 409:
            assert set(answer.body["unavailable"]) <= set(wish)
    states = dict(await truth.states(event.event_id))
    assert states["held"] == len(owned)
    await truth.check([event.event_id])


async def test_a_loser_of_what_is_sold_out_waits_for_nobody(replicas: list[Replica], truth: Truth) -> None:
    """The seats are held, and somebody has them locked: whoever wants one is refused all the same, at once."""
    event = await replicas[0].shop.event(seats=2, standing=2)
    await Buyer(replicas[0].shop).hold(event, event.seats, standing=2)
    transaction = truth.conn.transaction()
    await transaction.start()
    await truth.conn.execute("SELECT FROM units WHERE event_id = $1 FOR UPDATE", event.event_id)
    try:
        async with asyncio.timeout(5):  # less than any lock is waited for
            answers = await asyncio.gather(
                *(Buyer(replicas[n % 2].shop).ask(event, event.seats[n % 2 : n % 2 + 1]) for n in range(20)),
                *(Buyer(replicas[n % 2].shop).ask(event, standing=1) for n in range(20)),
            )
    finally:
        await transaction.rollback()
    assert {(answer.status, answer.code) for answer in answers} == {(409, "seat_unavailable")}
