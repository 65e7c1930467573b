"""Money that comes late, for seats that are gone: equal places of the same tier, if the buyer agreed to that."""

from dataclasses import dataclass
from typing import Any

import pytest

from reservation.store_settling import Settling
from tests.integration.reservation.house import Replica, Truth, hold_same_tier
from tests.support.buyer import Buyer, Event, Purchase, Shop
from ticketflow.events import HoldLost, SaleSettle, envelope_for, new_id

OVER_S = 361
FRONT, BACK, STANDING = 5000, 3000, 1500


@dataclass
class House:
    """An event: rows A and B (8 seats each) are the front tier, row C (4) the back, and 6 places to stand."""

    replica: Replica
    truth: Truth
    event: Event
    by_label: dict[str, str]

    @property
    def shop(self) -> Shop:
        return self.replica.shop

    async def late(self, labels: str, standing: int = 0) -> Purchase:
        """A hold of seats, and of places to stand, whose time is over."""
        hold = await hold_same_tier(self.shop, self.event, self.seats(labels), standing)
        await self.truth.let_pass(hold.hold_id, OVER_S)
        return hold

    async def taken(self, labels: str, standing: int = 0) -> Purchase:
        return await Buyer(self.shop).hold(self.event, self.seats(labels), standing=standing)

    def seats(self, labels: str) -> list[str]:
        return [self.by_label[label] for label in labels.split()]

    async def settled(self, hold: Purchase) -> list[str]:
        """Labels of what it was sold, which is what is told, shown and owned; it must have been moved."""
        payment_id = await self.replica.settle(hold.hold_id)
        told, seen = await self.truth.sold(hold.hold_id), (await hold.read_hold()).body
        assert told.payment_id == payment_id
        assert told.moved_to is not None
        assert (seen["state"], seen["moved"], seen["late"]) == ("SOLD", True, "same_tier")
        assert [vars_of(line) for line in told.moved_to] == seen["lines"]
        assert sum(line.price_minor for line in told.moved_to) == seen["total_minor"]
        owners = await self.truth.owners(self.event.event_id)
        assert {unit for unit, owner in owners.items() if owner == hold.hold_id} == {
            line.unit_id for line in told.moved_to
        }
        await self.truth.check([self.event.event_id])
        return [line.label for line in told.moved_to]

    async def lost(self, hold: Purchase) -> None:
        """It is lost, and nothing of it has moved anything."""
        owners, lines = await self.truth.owners(self.event.event_id), (await hold.read_hold()).body["lines"]
        await self.replica.settle(hold.hold_id)
        told = (await self.truth.events_of(hold.hold_id))[-1]
        assert isinstance(told, HoldLost)
        assert told.reason == "taken"
        assert await self.truth.owners(self.event.event_id) == owners
        assert (await hold.read_hold()).body["lines"] == lines
        await self.truth.check([self.event.event_id])


def vars_of(line: Any) -> dict[str, Any]:
    return {name: getattr(line, name) for name in ("unit_id", "tier", "label", "price_minor")}


@pytest.fixture
async def house(replica: Replica, truth: Truth) -> House:
    shop = replica.shop
    venue = await shop.admin("venues", {"name": "Old Theatre"})
    rows = [{"row": row, "seats": seats} for row, seats in (("A", 8), ("B", 8), ("C", 4))]
    hall = await shop.admin("halls", {"venue_id": venue["venue_id"], "name": "Main", "rows": rows})
    tiers = [
        {"name": "front", "price_minor": FRONT, "rows": ["A", "B"]},
        {"name": "back", "price_minor": BACK, "rows": ["C"]},
        {"name": "standing", "price_minor": STANDING, "capacity": 6},
    ]
    wanted = {"hall_id": hall["hall_id"], "name": "Late", "starts_at": "2099-01-01T20:00:00Z", "currency": "EUR"}
    made = await shop.admin("events", wanted | {"tiers": tiers, "seats_per_hold_max": 30})
    event = Event(shop, made["event_id"])
    seats = (await event.availability())["seats"]
    return House(replica, truth, event, {seat["label"]: seat["seat_id"] for seat in seats})


async def test_its_own_seats_come_first(house: House) -> None:
    hold = await house.late("A-1 A-2")
    await house.replica.settle(hold.hold_id)
    assert (await house.truth.sold(hold.hold_id)).moved_to is None
    assert (await hold.read_hold()).body["moved"] is False


async def test_what_is_left_of_them_is_kept_and_the_rest_is_near(house: House) -> None:
    hold = await house.late("A-1 A-2 A-3")
    await house.taken("A-2")
    assert await house.settled(hold) == ["A-1", "A-3", "A-4"]


async def test_several_seats_are_side_by_side_if_that_can_be(house: House) -> None:
    hold = await house.late("A-4 A-5")
    await house.taken("A-2 A-4 A-5 A-7")
    assert await house.settled(hold) == ["B-1", "B-2"], "A-3 and A-6 are nearer, and apart"


async def test_seats_apart_are_better_than_none(house: House) -> None:
    hold = await house.late("A-4 A-5")
    await house.taken("A-1 A-2 A-4 A-5 A-7 A-8 B-1 B-2 B-3 B-4 B-5 B-6 B-7 B-8")
    assert await house.settled(hold) == ["A-3", "A-6"]


async def test_of_every_tier_as_many_as_it_had_and_at_its_price(house: House) -> None:
    hold = await house.late("A-1 C-1 C-2", standing=2)
    others = await house.taken("A-1 C-2", standing=4)
    await house.taken("", standing=1)  # one of the two
    await others.release()
    await house.taken("A-1 C-2")
    was = {line["unit_id"] for line in (await hold.read_hold()).body["lines"]}
    assert await house.settled(hold) == ["A-2", "C-1", "C-3", "standing", "standing"]
    lines = (await hold.read_hold()).body["lines"]
    assert [line["price_minor"] for line in lines] == [FRONT, BACK, BACK, STANDING, STANDING]
    assert len(was - {line["unit_id"] for line in lines}) == 3, "what was left of it is kept"


@pytest.mark.parametrize(("others", "standing"), [("A B", 0), ("C", 0), ("", 4), ("A B C", 4)])
async def test_all_or_none(house: House, others: str, standing: int) -> None:
    """Every tier of the hold must have enough: here, one has not."""
    hold = await house.late("A-1 A-2 C-4", standing=3)
    for row in others.split():
        await house.taken(" ".join(label for label in house.by_label if label.startswith(row) and label != "A-2"))
    if standing:
        await house.taken("", standing=standing)
    if "A" not in others:
        await house.taken("A-1")
    await house.lost(hold)


async def test_who_wants_his_money_back_is_never_moved(house: House) -> None:
    hold = await house.taken("A-1 A-2")
    await house.truth.let_pass(hold.hold_id, OVER_S)
    await house.taken("A-2")
    await house.lost(hold)


async def test_released_is_released(house: House) -> None:
    hold = await hold_same_tier(house.shop, house.event, house.seats("A-1"))
    await hold.release()
    await house.taken("A-1")
    await house.replica.settle(hold.hold_id)
    told = (await house.truth.events_of(hold.hold_id))[-1]
    assert isinstance(told, HoldLost)
    assert told.reason == "released"


async def test_swept_or_not_it_is_the_same(house: House) -> None:
    hold = await house.late("B-1 B-2", standing=2)
    while await house.replica.sweeper.run_once():
        pass
    await house.taken("B-1", standing=1)
    assert await house.settled(hold) == ["B-2", "B-3", "standing", "standing"]


async def test_places_whose_hold_is_over_are_as_good_as_free_ones(house: House) -> None:
    hold = await house.late("C-1 C-2", standing=2)
    await house.taken("C-1 C-2")
    over = await house.late("C-3 C-4")
    assert await house.settled(hold) == ["C-3", "C-4", "standing", "standing"]
    await house.lost(over)


async def test_a_closed_event_still_moves_those_it_has(house: House) -> None:
    hold = await house.late("A-1")
    await house.taken("A-1")
    headers = {"Authorization": f"Bearer {house.shop.admin_key}"}
    closed = await house.shop.call("POST", f"/api/v1/admin/events/{house.event.event_id}/close", headers=headers)
    assert closed.status == 200
    assert await house.settled(hold) == ["A-2"]


async def test_it_is_told_again_as_it_was(house: House) -> None:
    hold = await house.late("A-1 A-2")
    await house.taken("A-1")
    payment_id = await house.replica.settle(hold.hold_id)
    first = await house.truth.sold(hold.hold_id)
    await house.replica.settle(hold.hold_id, payment_id)
    assert await house.truth.kinds_of(hold.hold_id) == ["hold.placed", "hold.sold", "hold.sold"]
    assert await house.truth.sold(hold.hold_id) == first
    assert first.moved_to is not None


async def test_who_has_been_moved_loses_a_second_payment(house: House) -> None:
    hold = await house.late("A-1")
    await house.taken("A-1")
    await house.settled(hold)
    await house.lost(hold)


async def test_a_crash_before_commit_moves_nothing_and_the_next_try_does(house: House) -> None:
    hold = await house.late("A-1 A-2", standing=1)
    await house.taken("A-1")
    owners, before = await house.truth.owners(house.event.event_id), (await hold.read_hold()).body
    command = SaleSettle(hold_id=hold.hold_id, payment_id=new_id(), started_at_us=1)
    with pytest.raises(ZeroDivisionError):
        async with house.replica.pool.transaction() as conn:
            await Settling(house.replica.outbox).settle(
                conn, envelope_for(command, key=hold.hold_id, correlation_id="test")
            )
            raise ZeroDivisionError
    assert await house.truth.kinds_of(hold.hold_id) == ["hold.placed"]
    assert await house.truth.owners(house.event.event_id) == owners
    assert (await hold.read_hold()).body == before
    assert await house.settled(hold) == ["A-2", "A-3", "standing"]
