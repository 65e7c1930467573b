"""Late payments, early buyers and returns at once, for fewer places than they want: nothing sold twice, nobody refused
what is still there, nobody waiting for each other in a circle."""

import asyncio
import random
from collections import Counter

import pytest

from reservation.service import handlers
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import Replica, Truth, hold_same_tier
from tests.support.buyer import Buyer, Event, Purchase
from tests.support.running import RunningServer
from ticketflow.delivery import Inbox, PostgresDialect
from ticketflow.events import HoldSold, Payload, SaleReturn, SaleSettle, encode, envelope_for, new_id
from ticketflow.feed import VERSION, Hello, Peer
from ticketflow.runtime.errors import Retryable

OVER_S = 361


async def late_holds(replica: Replica, truth: Truth, event: Event, count: int, *, standing: int) -> list[Purchase]:
    """Each of one seat, the first ones, and some places to stand; their time is over."""
    holds = [await hold_same_tier(replica.shop, event, [seat], standing) for seat in event.seats[:count]]
    for hold in holds:
        await truth.let_pass(hold.hold_id, OVER_S)
    return holds


async def moved(truth: Truth, holds: list[Purchase]) -> list[Purchase]:
    """Those that have been sold; every one was told something, and no place twice."""
    sold, places = [], []
    for hold in holds:
        told = (await truth.events_of(hold.hold_id))[-1]
        assert told.kind in ("hold.sold", "hold.lost")
        if isinstance(told, HoldSold):
            sold.append(hold)
            places += [line["unit_id"] for line in (await hold.read_hold()).body["lines"]]
    assert len(places) == len(set(places))
    return sold


async def test_five_seats_for_fifteen_late_payments_and_ten_buyers(
    replicas: list[Replica], truth: Truth, postgres_server: RunningServer[PostgresServer]
) -> None:
    event = await replicas[0].shop.event(seats=20)
    late = await late_holds(replicas[0], truth, event, 15, standing=0)
    for seat in event.seats[:15]:
        await Buyer(replicas[0].shop).hold(event, [seat])
    before = postgres_server.log.read_text().count("deadlock detected")
    chance = random.Random(15)
    asking = [Buyer(replicas[n % 2].shop).ask(event, [chance.choice(event.seats[15:])]) for n in range(10)]
    answers, _ = await asyncio.gather(
        asyncio.gather(*asking), asyncio.gather(*(replicas[n % 2].settle(hold.hold_id) for n, hold in enumerate(late)))
    )
    sold = await moved(truth, late)
    got = Counter(answer.status for answer in answers)
    assert len(sold) + got[201] == 5
    assert await truth.states(event.event_id) == [("held", 15 + got[201]), *([("sold", len(sold))] if sold else [])]
    assert postgres_server.log.read_text().count("deadlock detected") == before
    await truth.check([event.event_id])


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_late_payments_buyers_and_returns_never_deadlock_and_never_oversell(
    replicas: list[Replica], truth: Truth, postgres_server: RunningServer[PostgresServer], seed: int
) -> None:
    """Whatever the order, the places that are left are fewer than anybody lost who was told that there are none. Those
    who give back do so before the last buyers come."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    event = await replicas[0].shop.event(seats=24, standing=40, seats_per_hold_max=20)
    early = [await Buyer(replicas[0].shop).hold(event, event.seats[n : n + 1], standing=1) for n in range(20, 24)]
    for hold in early:
        await replicas[0].settle(hold.hold_id)
    late = await late_holds(replicas[0], truth, event, 12, standing=2)

    async def buy(number: int) -> None:
        replica = replicas[number % 2]
        seats = chance.sample(event.seats, chance.randint(1, 4))
        answer = await Buyer(replica.shop).ask(event, seats, standing=chance.choice((0, 1, 3)))
        assert answer.status in (201, 409), answer

    async def give_back(hold: Purchase) -> None:
        await replicas[0].give_back(hold.hold_id)

    async def pay(number: int, hold: Purchase) -> None:
        await replicas[number % 2].settle(hold.hold_id)

    before = postgres_server.log.read_text().count("deadlock detected")
    work = [buy(n) for n in range(24)] + [pay(n, hold) for n, hold in enumerate(late)]
    work += [give_back(hold) for hold in early]
    chance.shuffle(work)
    await asyncio.gather(*work)
    assert postgres_server.log.read_text().count("deadlock detected") == before
    await truth.check([event.event_id])

    lost = [hold for hold in late if hold not in await moved(truth, late)]
    await asyncio.gather(*(pay(n, hold) for n, hold in enumerate(lost)))
    free = {tier["name"]: tier["free"] for tier in (await event.availability())["tiers"]}
    still_lost = [hold for hold in lost if hold not in await moved(truth, lost)]
    if still_lost:
        assert free["seated"] < 1 or free["standing"] < 2, "lost, and there are places"
    await truth.check([event.event_id])


@pytest.mark.parametrize("others", [False, True], ids=["its own", "others"])
@pytest.mark.parametrize("tier", ["seated", "standing"])
async def test_places_in_the_hands_of_who_gives_up_are_not_gone(
    replica: Replica, truth: Truth, tier: str, others: bool
) -> None:
    """Neither sold nor lost, until it is known what becomes of them."""
    seated = tier == "seated"
    event = await replica.shop.event(seats=2 if seated else 0, standing=0 if seated else 2)
    late = await hold_same_tier(replica.shop, event, event.seats[:1], standing=0 if seated else 1)
    await truth.let_pass(late.hold_id, OVER_S)
    [own] = (await late.read_hold()).body["lines"]
    other = await Buyer(replica.shop).hold(event, event.seats[:1], standing=0 if seated else 2)
    if not seated:  # general admission gives what is free before what is over: his own is taken in two steps
        await other.release()
        thief = await Buyer(replica.shop).hold(event, standing=1)
        assert [line["unit_id"] for line in (await thief.read_hold()).body["lines"]] == [own["unit_id"]]
    transaction = truth.conn.transaction()
    await transaction.start()
    await truth.conn.execute(
        "SELECT FROM units WHERE event_id = $1 AND (state = 'free') = $2 FOR NO KEY UPDATE", event.event_id, others
    )
    with pytest.raises(Retryable):
        await replica.settle(late.hold_id, attempts=1)
    assert await truth.kinds_of(late.hold_id) == ["hold.placed"]
    settling = asyncio.create_task(replica.settle(late.hold_id))
    await transaction.rollback()
    await settling
    moved_to = (await truth.sold(late.hold_id)).moved_to
    assert moved_to is not None
    assert [line.unit_id for line in moved_to] != [own["unit_id"]]
    await truth.check([event.event_id])


async def test_a_whole_batch_of_commands_beside_a_rush_of_buyers(replicas: list[Replica], truth: Truth) -> None:
    """Through the inbox itself, many commands to a transaction: what is contended is asked again, nothing is parked."""
    chance = random.Random(7)
    event = await replicas[0].shop.event(seats=40, standing=20)
    late = await late_holds(replicas[0], truth, event, 16, standing=1)
    sold = [await Buyer(replicas[0].shop).hold(event, [seat]) for seat in event.seats[16:20]]
    for hold in sold:
        await replicas[0].settle(hold.hold_id)
    commands: list[Payload] = [
        *(SaleSettle(hold_id=hold.hold_id, payment_id=new_id(), started_at_us=1) for hold in late),
        *(SaleReturn(hold_id=hold.hold_id, return_id=new_id()) for hold in sold),
    ]
    bodies = [
        encode(envelope_for(command, key=hold.hold_id, correlation_id="batch"))
        for command, hold in zip(commands, late + sold, strict=True)
    ]
    inbox = Inbox(replicas[1].pool, PostgresDialect(), stream="batch", handlers=handlers(replicas[1].outbox))
    hello = Hello(VERSION, "batch", 1, 1, len(bodies), "portal")
    await inbox.hello(hello, Peer("127.0.0.1", 1))

    async def buy() -> None:
        answer = await Buyer(replicas[0].shop).ask(event, chance.sample(event.seats, 3), standing=chance.choice((0, 1)))
        assert answer.status in (201, 409), answer

    watermark, *_ = await asyncio.gather(inbox.apply(hello, 1, bodies), *(buy() for _ in range(24)))
    assert watermark == len(bodies)
    assert await truth.conn.fetchval("SELECT count(*) FROM delivery_parked WHERE stream = 'batch'") == 0
    await moved(truth, late)
    for hold in sold:
        assert (await truth.kinds_of(hold.hold_id))[-1] == "hold.returned"
    await truth.check([event.event_id])
