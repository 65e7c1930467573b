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

from reservation.refusals import Refused
from reservation.store_holds import HoldStore
from reservation.store_placing import Placed, Placing, Request
from reservation.wishes import Wish
from tests.integration.reservation.house import Replica, Truth
from ticketflow.events import new_id

SEATS, STANDING = 4, 4
TTL_S, GRACE_S = 300, 60
EXAMPLES = 25

Place = st.tuples(st.just("place"), st.sets(st.integers(0, SEATS - 1), max_size=3), st.integers(0, 3)).filter(
    lambda step: bool(step[1]) or step[2] > 0
)
Other = st.tuples(st.sampled_from(["release", "settle"]), st.integers(0, 30))
Time = st.tuples(st.just("time"), st.sampled_from([100, TTL_S, TTL_S + GRACE_S]))
Sweep = st.tuples(st.just("sweep"))
STEPS = st.lists(st.one_of(Place, Place, Other, Other, Time, Sweep), min_size=5, max_size=25)


@dataclass
class ModelHold:
    hold_id: str
    seats: set[str]
    age_s: float = 0
    state: str = "HELD"

    @property
    def holds_its_seats(self) -> bool:
        return self.state == "SOLD" or (self.state == "HELD" and self.age_s < TTL_S + GRACE_S)


@dataclass
class Model:
    """Who owns what. ``owner`` is the last hold that took a place; it counts while that hold holds its seats."""

    places: list[str]
    owner: dict[str, ModelHold] = field(default_factory=dict)
    holds: list[ModelHold] = field(default_factory=list)

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
        self.placing = Placing(replica.pool, replica.outbox)
        self.holds = HoldStore(replica.pool, replica.outbox)

    async def place(self, seats: set[int], quantity: int) -> None:
        general = {"standing": quantity} if quantity else {}
        wish = Wish(self.event_id, "ann", tuple(self.seats[n] for n in seats), general, "refund")
        possible = all(map(self.model.free, wish.seats)) and sum(map(self.model.free, self.standing)) >= quantity
        decision = await self.placing.place(Request(wish, new_id(), b""))
        assert isinstance(decision, Placed) == possible
        if isinstance(decision, Placed):
            taken = {line.unit_id for line in decision.lines}
            assert taken >= set(wish.seats)
            assert len(taken) == len(wish.seats) + quantity
            self.model.take(ModelHold(str(decision.row["hold_id"]), taken))

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
        was_sold = hold.state == "SOLD"
        available = all(self.model.free(seat) or self.model.owner[seat] is hold for seat in hold.seats)
        sells = hold.state in ("HELD", "EXPIRED") and available
        await self.replica.settle(hold.hold_id)
        assert (await self.truth.kinds_of(hold.hold_id))[-1] == ("hold.sold" if sells else "hold.lost")
        if sells:
            hold.state = "SOLD"
            self.model.owner |= dict.fromkeys(hold.seats, hold)
        assert was_sold <= (hold.state == "SOLD")

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
def test_the_store_and_the_model_agree(dsn: str, steps: list[tuple[Any, ...]]) -> None:
    asyncio.run(_walk(dsn, steps))


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
