"""sale.settle: the money is set aside; the hold is sold, or its loss is told. Each state of a hold, as a table."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from reservation.store_settling import Settling
from tests.integration.reservation.house import Replica, Truth, hold_same_tier
from tests.support.buyer import Buyer, Event, Purchase
from ticketflow.delivery import Poison
from ticketflow.events import HoldLost, HoldReleased, HoldSold, SaleSettle, envelope_for, new_id

TTL_S, GRACE_S = 300, 60
OVER_S = TTL_S + GRACE_S + 1


@dataclass
class Story:
    """A hold on two seats and one standing place of an event that has no other places."""

    replica: Replica
    truth: Truth
    event: Event
    hold: Purchase

    async def over(self) -> None:
        await self.truth.let_pass(self.hold.hold_id, OVER_S)

    async def swept(self) -> None:
        await self.over()
        while await self.replica.sweeper.run_once():
            pass

    async def one_seat_retaken(self) -> Purchase:
        return await Buyer(self.replica.shop).hold(self.event, self.event.seats[:1])


@pytest.fixture
async def story(replica: Replica, truth: Truth) -> Story:
    event = await replica.shop.event(seats=2, standing=1, hold_ttl_s=TTL_S, grace_s=GRACE_S)
    hold = await Buyer(replica.shop).hold(event, event.seats, standing=1)
    return Story(replica, truth, event, hold)


async def _nothing(_: Story) -> None:
    pass


async def _in_grace(story: Story) -> None:
    await story.truth.let_pass(story.hold.hold_id, TTL_S + 1)


async def _over(story: Story) -> None:
    await story.over()


async def _swept(story: Story) -> None:
    await story.swept()


async def _retaken_and_over_again(story: Story) -> None:
    await story.over()
    other = await story.one_seat_retaken()
    await story.truth.let_pass(other.hold_id, OVER_S)


@pytest.mark.parametrize("before", [_nothing, _in_grace, _over, _swept, _retaken_and_over_again])
async def test_settled_in_time_or_while_the_seats_are_to_be_had(story: Story, before: Any) -> None:
    await before(story)
    payment_id = await story.replica.settle(story.hold.hold_id)
    assert (await story.hold.read_hold()).body["state"] == "SOLD"
    assert await story.event.states() == {"free": 0, "held": 0, "sold": 3}
    assert set((await story.truth.owners(story.event.event_id)).values()) == {story.hold.hold_id}
    sold = (await story.truth.events_of(story.hold.hold_id))[-1]
    assert isinstance(sold, HoldSold)
    assert sold.payment_id == payment_id
    await story.truth.check([story.event.event_id])


async def _one_seat_taken(story: Story) -> None:
    await story.over()
    await story.one_seat_retaken()


async def _one_seat_taken_after_the_sweep(story: Story) -> None:
    await story.swept()
    await story.one_seat_retaken()


async def _one_seat_sold(story: Story) -> None:
    await story.over()
    await story.replica.settle((await story.one_seat_retaken()).hold_id)


async def _released(story: Story) -> None:
    await story.hold.release()


async def _released_and_taken(story: Story) -> None:
    await story.hold.release()
    await story.one_seat_retaken()


async def _sold_to_another_payment(story: Story) -> None:
    await story.replica.settle(story.hold.hold_id)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (_one_seat_taken, "taken"),
        (_one_seat_taken_after_the_sweep, "taken"),
        (_one_seat_sold, "taken"),
        (_released, "released"),
        (_released_and_taken, "released"),
        (_sold_to_another_payment, "taken"),
    ],
)
async def test_lost_for_good(story: Story, before: Any, reason: str) -> None:
    await before(story)
    owners = await story.truth.owners(story.event.event_id)
    payment_id = await story.replica.settle(story.hold.hold_id)
    lost = (await story.truth.events_of(story.hold.hold_id))[-1]
    assert isinstance(lost, HoldLost)
    assert (lost.payment_id, lost.reason) == (payment_id, reason)
    assert await story.truth.owners(story.event.event_id) == owners, "a lost sale moves nothing"
    await story.truth.check([story.event.event_id])


async def test_a_hold_that_never_was(replica: Replica, truth: Truth) -> None:
    hold_id = new_id()
    await replica.settle(hold_id)
    [lost] = await truth.events_of(hold_id)
    assert isinstance(lost, HoldLost)
    assert lost.reason == "unknown_hold"


async def test_settled_again_by_the_same_payment_it_tells_the_same_again(story: Story) -> None:
    payment_id = await story.replica.settle(story.hold.hold_id)
    await story.replica.settle(story.hold.hold_id, payment_id)
    _placed, first, second = await story.truth.events_of(story.hold.hold_id)
    assert first == second
    assert isinstance(second, HoldSold)
    assert (second.payment_id, second.moved_to) == (payment_id, None)
    await story.truth.check([story.event.event_id])


@pytest.mark.parametrize("late", ["refund", "same_tier"])
async def test_a_payment_that_was_lost_stays_lost_when_the_seats_come_free(
    replica: Replica, truth: Truth, late: str
) -> None:
    """Its money is on its way back: it must not buy anything any more. Another payment may."""
    event = await replica.shop.event(seats=1)
    hold = await (
        hold_same_tier(replica.shop, event, event.seats)
        if late == "same_tier"
        else Buyer(replica.shop).hold(event, event.seats)
    )
    await truth.let_pass(hold.hold_id, OVER_S)
    other = await Buyer(replica.shop).hold(event, event.seats)
    payment_id = await replica.settle(hold.hold_id)
    await other.release()
    for _ in range(2):
        await replica.settle(hold.hold_id, payment_id)
    _placed, *lost = await truth.events_of(hold.hold_id)
    assert lost == [HoldLost(hold_id=hold.hold_id, payment_id=payment_id, reason="taken")] * 3
    assert await truth.states(event.event_id) == [("free", 1)]
    second = await replica.settle(hold.hold_id)
    assert (await truth.sold(hold.hold_id)).payment_id == second
    await truth.check([event.event_id])


async def test_a_sold_hold_cannot_be_released_or_swept(story: Story) -> None:
    await story.replica.settle(story.hold.hold_id)
    assert (await story.hold.release()).code == "hold_sold"
    await story.swept()
    assert await story.event.states() == {"free": 0, "held": 0, "sold": 3}
    assert await story.truth.kinds_of(story.hold.hold_id) == ["hold.placed", "hold.sold"]


async def test_of_releasing_and_settling_at_once_one_wins(replicas: list[Replica], truth: Truth) -> None:
    for _ in range(10):
        event = await replicas[0].shop.event(seats=1)
        hold = await Buyer(replicas[0].shop).hold(event, event.seats)
        released, _ = await asyncio.gather(hold.release(), replicas[1].settle(hold.hold_id))
        kinds = await truth.kinds_of(hold.hold_id)
        if released.status == 200:
            assert kinds == ["hold.placed", "hold.released", "hold.lost"]
            assert await truth.states(event.event_id) == [("free", 1)]
        else:
            assert released.code == "hold_sold"
            assert kinds == ["hold.placed", "hold.sold"]
            assert await truth.states(event.event_id) == [("sold", 1)]


async def test_of_settling_late_and_taking_over_at_once_one_wins(replicas: list[Replica], truth: Truth) -> None:
    for _ in range(10):
        event = await replicas[0].shop.event(seats=2, hold_ttl_s=TTL_S, grace_s=GRACE_S)
        late = await Buyer(replicas[0].shop).hold(event, event.seats)
        await truth.let_pass(late.hold_id, OVER_S)
        taking, _ = await asyncio.gather(
            Buyer(replicas[0].shop).ask(event, event.seats[1:]), replicas[1].settle(late.hold_id)
        )
        last = (await truth.kinds_of(late.hold_id))[-1]
        assert (taking.status, last) in ((201, "hold.lost"), (409, "hold.sold"))
        await truth.check([event.event_id])


@pytest.mark.parametrize(
    "command",
    [
        SaleSettle(hold_id="17", payment_id="01890a5d-ac96-774b-bcce-b302099a8057", started_at_us=1),
        SaleSettle(hold_id="01890a5d-ac96-774b-bcce-b302099a8057", payment_id="'", started_at_us=1),
        HoldReleased(hold_id="01890a5d-ac96-774b-bcce-b302099a8057"),
    ],
)
async def test_a_command_that_can_never_be_applied_is_poison(replica: Replica, command: Any) -> None:
    with pytest.raises(Poison):
        async with replica.pool.transaction() as conn:
            await Settling(replica.outbox).settle(conn, envelope_for(command, key="17", correlation_id="test"))
