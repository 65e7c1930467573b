"""A long random life of one event beside a model of a page: whatever happens in whatever order, both agree.

The model is the rules in their simplest words; the store is the real one. Time is moved, not waited for.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reservation.holds import Late
from reservation.refusals import Refused
from reservation.store_closing import close_event, open_event
from reservation.store_holds import HoldStore
from reservation.store_placing import Placed, Request
from reservation.wishes import Wish
from tests.integration.reservation.house import Replica, Truth
from ticketflow.events import HoldLost, HoldReturned, HoldSold, Payload, new_id

SEATS, STANDING = 6, 5
TTL_S, GRACE_S = 300, 60
EXAMPLES = 25

Place = st.tuples(
    st.just("place"), st.sets(st.integers(0, SEATS - 1), max_size=3), st.integers(0, 3), st.sampled_from(Late)
).filter(lambda step: bool(step[1]) or step[2] > 0)
Return = st.tuples(st.just("give_back"), st.integers(0, 30), st.integers(0, 3))
Switch = st.tuples(st.just("switch"), st.sampled_from(["close", "open"]))
Other = st.tuples(st.sampled_from(["release", "settle", "settle_again"]), st.integers(0, 30))
Time = st.tuples(st.just("time"), st.sampled_from([100, TTL_S, TTL_S + GRACE_S]))
Sweep = st.tuples(st.just("sweep"))
Step = st.one_of(Place, Place, Place, Other, Other, Other, Time, Sweep, Return, Switch).map(lambda step: [step])


def overtaken(seats: set[int], quantity: int, late: Late, others: int) -> list[tuple[Any, ...]]:
    """Somebody pays too late, and others have come meanwhile: too rare if only chance brought it about."""
    taken = {seat for seat in seats if others & 1 << seat} or seats
    return [
        ("place", seats, quantity, late),
        ("time", TTL_S + GRACE_S),
        ("place", taken, others % 4, Late.REFUND),
        ("settle", -2),
    ]


Overtaken = st.builds(
    overtaken,
    st.sets(st.integers(0, SEATS - 1), min_size=1, max_size=3),
    st.integers(0, 3),
    st.sampled_from([Late.SAME_TIER, Late.SAME_TIER, Late.REFUND]),
    st.integers(0, 2**SEATS - 1),
)
Returned = st.tuples(Place, st.just(("settle", -1)), Return.map(lambda step: (step[0], -1, step[2]))).map(list)
STEPS = st.lists(st.one_of(Step, Step, Step, Overtaken, Returned), min_size=5, max_size=20)


@dataclass
class ModelHold:
    hold_id: str
    seats: set[str]
    late: Late = Late.REFUND
    told: dict[str, Payload] = field(default_factory=dict)  # by the payment
    age_s: float = 0
    state: str = "HELD"

    @property
    def holds_its_seats(self) -> bool:
        return self.state == "SOLD" or (self.state == "HELD" and self.age_s < TTL_S + GRACE_S)


@dataclass
class Model:
    """Who owns what. ``owner`` is the last hold that took a place; it counts while that hold holds its seats. A place
    that was sold and is given back has no owner."""

    places: list[str]
    owner: dict[str, ModelHold] = field(default_factory=dict)
    holds: list[ModelHold] = field(default_factory=list)
    closed: bool = False

    def free(self, place: str) -> bool:
        return place not in self.owner or not self.owner[place].holds_its_seats

    def take(self, hold: ModelHold) -> None:
        assert all(self.free(place) for place in hold.seats)
        self.holds.append(hold)
        self.owner |= dict.fromkeys(hold.seats, hold)

    def count(self) -> dict[str, int]:
        taken = [self.owner[place].state for place in self.places if not self.free(place)]
        return {"free": len(self.places) - len(taken), "held": taken.count("HELD"), "sold": taken.count("SOLD")}


class Walk:
    def __init__(self, replica: Replica, truth: Truth, event_id: str, seats: list[str], standing: list[str]) -> None:
        self.replica, self.truth, self.event_id = replica, truth, event_id
        self.seats, self.standing = seats, standing
        self.model = Model(seats + standing)
        self.placing = replica.placing
        self.holds = HoldStore(replica.pool, replica.outbox)

    async def place(self, seats: set[int], quantity: int, late: Late) -> None:
        general = {"standing": quantity} if quantity else {}
        wish = Wish(self.event_id, "ann", tuple(self.seats[n] for n in seats), general, late)
        possible = all(map(self.model.free, wish.seats)) and sum(map(self.model.free, self.standing)) >= quantity
        possible = possible and not self.model.closed
        decision = await self.placing.place(Request(wish, new_id(), b""))
        assert isinstance(decision, Placed) == possible
        if isinstance(decision, Placed):
            taken = {line.unit_id for line in decision.lines}
            assert taken >= set(wish.seats)
            assert len(taken) == len(wish.seats) + quantity
            self.model.take(ModelHold(str(decision.row["hold_id"]), taken, late))

    async def release(self, number: int) -> None:
        if not self.model.holds:
            return
        hold = self.model.holds[number % len(self.model.holds)]
        if hold.state == "RELEASED" or (hold.state == "HELD" and hold.age_s < TTL_S):
            await self.holds.release(hold.hold_id)
            hold.state = "RELEASED"
        else:
            with pytest.raises(Refused, match="hold_sold" if hold.state == "SOLD" else "hold_expired"):
                await self.holds.release(hold.hold_id)

    async def settle(self, number: int) -> None:
        if not self.model.holds:
            return
        hold = self.model.holds[number % len(self.model.holds)]
        gone = {seat for seat in hold.seats if not self.model.free(seat) and self.model.owner[seat] is not hold}
        moves = (
            bool(gone) and hold.late is Late.SAME_TIER and all(self._enough(hold, gone, tier) for tier in self.tiers)
        )
        sells = hold.state in ("HELD", "EXPIRED") and (not gone or moves)
        payment_id = await self.replica.settle(hold.hold_id)
        told = (await self.truth.events_of(hold.hold_id))[-1]
        hold.told[payment_id] = told
        assert isinstance(told, HoldSold if sells else HoldLost)
        if isinstance(told, HoldSold):
            if told.moved_to is not None:
                assert moves
                self._moved(hold, gone, {line.unit_id for line in told.moved_to})
            assert moves == (told.moved_to is not None)
            hold.state = "SOLD"
            self.model.owner |= dict.fromkeys(hold.seats, hold)

    async def settle_again(self, number: int) -> None:
        """Every payment of a hold once more: what was told is told, and nothing else happens."""
        if not self.model.holds:
            return
        hold = self.model.holds[number % len(self.model.holds)]
        for payment_id, told in hold.told.items():
            await self.replica.settle(hold.hold_id, payment_id)
            assert (await self.truth.events_of(hold.hold_id))[-1] == told

    @property
    def tiers(self) -> tuple[list[str], list[str]]:
        return self.seats, self.standing

    def _enough(self, hold: ModelHold, gone: set[str], tier: list[str]) -> bool:
        """Whether a tier has as many places for the hold, beside those it still has, as it has lost there."""
        return sum(self.model.free(place) for place in tier if place not in hold.seats) >= len(gone & set(tier))

    def _moved(self, hold: ModelHold, gone: set[str], to: set[str]) -> None:
        assert to >= hold.seats - gone, "what it could keep, it keeps"
        assert all(map(self.model.free, to - hold.seats))
        assert [len(to & set(tier)) for tier in self.tiers] == [len(hold.seats & set(tier)) for tier in self.tiers]
        hold.seats = to

    async def give_back(self, number: int, quantity: int) -> None:
        """Some places of a hold, whatever state it is in; none named means all."""
        if not self.model.holds:
            return
        hold = self.model.holds[number % len(self.model.holds)]
        named = sorted(hold.seats)[:quantity]
        owned = {place for place in named or hold.seats if self.model.owner.get(place) is hold}
        freed = owned if hold.state == "SOLD" else set()
        before = await self.truth.kinds_of(hold.hold_id)
        return_id = await self.replica.give_back(hold.hold_id, named)
        told = await self.truth.events_of(hold.hold_id)
        if not freed:
            assert len(told) == len(before)
            return
        assert told[-1] == HoldReturned(hold_id=hold.hold_id, return_id=return_id, unit_ids=sorted(freed))
        for place in freed:
            del self.model.owner[place]

    async def switch(self, verb: str) -> None:
        await (close_event if verb == "close" else open_event)(self.replica.pool, self.event_id)
        self.model.closed = verb == "close"

    async def time(self, seconds: int) -> None:
        for hold in self.model.holds:
            hold.age_s += seconds
            if hold.state == "HELD":
                await self.truth.let_pass(hold.hold_id, seconds)

    async def sweep(self) -> None:
        while await self.replica.sweeper.run_once():
            pass
        for hold in self.model.holds:
            if hold.state == "HELD" and hold.age_s >= TTL_S + GRACE_S:
                hold.state = "EXPIRED"

    async def agree(self) -> None:
        rows = await self.truth.conn.fetch(
            """
            SELECT CASE WHEN can_be_taken(units, clock_timestamp()) THEN 'free' ELSE state END AS shown, count(*)
              FROM units WHERE event_id = $1 GROUP BY shown
            """,
            self.event_id,
        )
        assert {"free": 0, "held": 0, "sold": 0} | {row["shown"]: row["count"] for row in rows} == self.model.count()
        owners = await self.truth.owners(self.event_id)
        for place in self.model.places:
            if not self.model.free(place):
                assert owners[place] == self.model.owner[place].hold_id


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_the_store_and_the_model_agree(dsn: str, steps: list[list[tuple[Any, ...]]]) -> None:
    asyncio.run(_walk(dsn, [step for some in steps for step in some]))


async def _walk(dsn: str, steps: list[tuple[Any, ...]]) -> None:
    truth = await Truth.connect(dsn)
    async with aiohttp.ClientSession() as http:
        replica = await Replica.start(dsn, http)
        try:
            event = await replica.shop.event(
                seats=SEATS, standing=STANDING, hold_ttl_s=TTL_S, grace_s=GRACE_S, seats_per_hold_max=SEATS + STANDING
            )
            standing = sorted(set(await truth.owners(event.event_id)) - set(event.seats))
            walk = Walk(replica, truth, event.event_id, event.seats, standing)
            for name, *arguments in steps:
                await getattr(walk, name)(*arguments)
                await walk.agree()
                await truth.check([event.event_id])
        finally:
            await replica.stop()
            await truth.close()
