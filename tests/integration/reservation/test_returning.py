"""sale.return: what was sold goes on sale again, because its buyer was refunded or could not pay after all."""

import asyncio
from typing import Any

import pytest

from reservation.store_returning import Returning
from tests.integration.reservation.house import Replica, Truth, hold_same_tier
from tests.support.buyer import Buyer, Event, Purchase
from ticketflow.delivery import Poison
from ticketflow.events import HoldReturned, HoldSold, SaleReturn, SaleSettle, envelope_for, new_id

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
async def event(replica: Replica) -> Event:
    return await replica.shop.event(seats=3, standing=2)


@pytest.fixture
async def sold(replica: Replica, event: Event) -> Purchase:
    """Two of the three seats and one of the two places to stand."""
    hold = await Buyer(replica.shop).hold(event, event.seats[:2], standing=1)
    await replica.settle(hold.hold_id)
    return hold


async def test_all_of_it_without_a_list(replica: Replica, truth: Truth, event: Event, sold: Purchase) -> None:
    return_id = await replica.give_back(sold.hold_id)
    told = (await truth.events_of(sold.hold_id))[-1]
    lines = (await sold.read_hold()).body["lines"]
    assert told == HoldReturned(hold_id=sold.hold_id, return_id=return_id, unit_ids=[line["unit_id"] for line in lines])
    assert await event.states() == {"free": 5, "held": 0, "sold": 0}
    assert len(lines) == 3, "what it was stays to be seen"
    assert (await sold.read_hold()).body["state"] == "SOLD"
    await truth.check([event.event_id])


async def test_one_seat_of_it(replica: Replica, truth: Truth, event: Event, sold: Purchase) -> None:
    await replica.give_back(sold.hold_id, event.seats[1:2])
    assert [(tier["free"], tier["sold"]) for tier in (await event.availability())["tiers"]] == [(2, 1), (1, 1)]
    assert (await truth.owners(event.event_id))[event.seats[0]] == sold.hold_id
    await truth.check([event.event_id])


async def test_what_came_back_is_sold_to_the_next_at_once(
    replica: Replica, truth: Truth, event: Event, sold: Purchase
) -> None:
    await replica.give_back(sold.hold_id)
    others = await Buyer(replica.shop).hold(event, event.seats, standing=2)
    await replica.settle(others.hold_id)
    assert set((await truth.owners(event.event_id)).values()) == {others.hold_id}
    await replica.give_back(others.hold_id, event.seats[:1])
    last = await Buyer(replica.shop).hold(event, event.seats[:1])
    await replica.settle(last.hold_id)
    assert await event.states() == {"free": 0, "held": 0, "sold": 5}
    await truth.check([event.event_id])


async def test_a_return_that_comes_again_touches_nobody_elses(
    replica: Replica, truth: Truth, event: Event, sold: Purchase
) -> None:
    return_id = await replica.give_back(sold.hold_id)
    others = await Buyer(replica.shop).hold(event, event.seats[:2], standing=1)
    await replica.settle(others.hold_id)
    owners = await truth.owners(event.event_id)
    await replica.give_back(sold.hold_id, return_id=return_id)
    await replica.give_back(sold.hold_id, event.seats[:1])
    assert await truth.owners(event.event_id) == owners
    assert await truth.kinds_of(sold.hold_id) == ["hold.placed", "hold.sold", "hold.returned"]


async def test_only_what_is_sold_to_it_comes_back(replica: Replica, truth: Truth, event: Event, sold: Purchase) -> None:
    others = await Buyer(replica.shop).hold(event, event.seats[2:])
    await replica.settle(others.hold_id)
    await replica.give_back(sold.hold_id, [*event.seats, new_id()])
    told = (await truth.events_of(sold.hold_id))[-1]
    assert isinstance(told, HoldReturned)
    assert told.unit_ids == event.seats[:2]
    assert (await truth.owners(event.event_id))[event.seats[2]] == others.hold_id
    await truth.check([event.event_id])


async def test_a_hold_that_was_never_sold_keeps_its_seats(replica: Replica, truth: Truth, event: Event) -> None:
    hold = await Buyer(replica.shop).hold(event, event.seats)
    await replica.give_back(hold.hold_id)
    assert (await event.states())["held"] == 3
    assert await truth.kinds_of(hold.hold_id) == ["hold.placed"]


async def test_a_hold_that_never_was_is_nobodys_poison(replica: Replica, truth: Truth) -> None:
    hold_id = new_id()
    await replica.give_back(hold_id)
    assert await truth.kinds_of(hold_id) == []


async def test_who_gave_all_back_is_still_told_that_it_was_sold(replica: Replica, truth: Truth, event: Event) -> None:
    """And a second payment for it is lost, whatever is free."""
    hold = await Buyer(replica.shop).hold(event, event.seats)
    payment_id = await replica.settle(hold.hold_id)
    await replica.give_back(hold.hold_id)
    await replica.settle(hold.hold_id, payment_id)
    await replica.settle(hold.hold_id)
    assert await truth.kinds_of(hold.hold_id) == ["hold.placed", "hold.sold", "hold.returned", "hold.sold", "hold.lost"]
    assert (await event.states())["free"] == 5, "telling is not selling"
    await truth.check([event.event_id])


async def test_a_place_that_was_moved_to_comes_back_too(replica: Replica, truth: Truth, event: Event) -> None:
    late = await hold_same_tier(replica.shop, event, event.seats[:1])
    await truth.let_pass(late.hold_id, 10_000)
    await Buyer(replica.shop).hold(event, event.seats[:1])
    payment_id = await replica.settle(late.hold_id)
    await replica.give_back(late.hold_id)
    assert await event.states() == {"free": 4, "held": 1, "sold": 0}
    first, _, again = [*(await truth.events_of(late.hold_id))[1:], await _again(replica, truth, late, payment_id)]
    assert first == again
    await truth.check([event.event_id])


async def _again(replica: Replica, truth: Truth, hold: Purchase, payment_id: str) -> HoldSold:
    await replica.settle(hold.hold_id, payment_id)
    return await truth.sold(hold.hold_id)


async def test_many_returns_of_one_hold_at_once_are_one(
    replicas: list[Replica], truth: Truth, event: Event, sold: Purchase
) -> None:
    await asyncio.gather(*(replicas[n % 2].give_back(sold.hold_id) for n in range(8)))
    assert await truth.kinds_of(sold.hold_id) == ["hold.placed", "hold.sold", "hold.returned"]
    assert await event.states() == {"free": 5, "held": 0, "sold": 0}


async def test_returned_and_wanted_at_once(replicas: list[Replica], truth: Truth) -> None:
    """Whoever asks while it comes back gets it or does not; it is never two buyers'."""
    for _ in range(10):
        event = await replicas[0].shop.event(seats=1)
        sold = await Buyer(replicas[0].shop).hold(event, event.seats)
        await replicas[0].settle(sold.hold_id)
        asking = [Buyer(replicas[n % 2].shop).ask(event, event.seats) for n in range(4)]
        answers, _return = await asyncio.gather(asyncio.gather(*asking), replicas[1].give_back(sold.hold_id))
        got = [answer for answer in answers if answer.status == 201]
        assert len(got) <= 1
        assert await truth.states(event.event_id) == [("held" if got else "free", 1)]
        await truth.check([event.event_id])


async def test_a_crash_before_commit_returns_nothing(
    replica: Replica, truth: Truth, event: Event, sold: Purchase
) -> None:
    command = SaleReturn(hold_id=sold.hold_id, return_id=new_id())
    with pytest.raises(ZeroDivisionError):
        async with replica.pool.transaction() as conn:
            await Returning(replica.outbox).give_back(
                conn, envelope_for(command, key=sold.hold_id, correlation_id="test")
            )
            raise ZeroDivisionError
    assert (await event.states())["sold"] == 3
    assert await truth.kinds_of(sold.hold_id) == ["hold.placed", "hold.sold"]
    await replica.give_back(sold.hold_id)
    assert (await event.states())["sold"] == 0


@pytest.mark.parametrize(
    "command",
    [
        SaleReturn(hold_id="17", return_id=ID),
        SaleReturn(hold_id=ID, return_id=""),
        SaleReturn(hold_id=ID, return_id=ID, unit_ids=[ID, "A-1"]),
        SaleSettle(hold_id=ID, payment_id=ID, started_at_us=1),
    ],
)
async def test_a_command_that_can_never_be_applied_is_poison(replica: Replica, command: Any) -> None:
    with pytest.raises(Poison):
        async with replica.pool.transaction() as conn:
            await Returning(replica.outbox).give_back(conn, envelope_for(command, key="17", correlation_id="test"))
