"""Lanes towards a receiver that stores nothing, as the bridge: all there is against disorder is the sender's gate."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.simulation.bugs import Bug
from tests.simulation.marks import mark_of_id
from tests.simulation.plan import KEYS, LANES
from tests.simulation.running import run_story
from tests.simulation.world import World
from ticketflow.events import decode
from ticketflow.feed import Hello, Peer, Position, Receiver

SEEDS = 20


class Forgetful(Bug):
    """Receivers that hand on what they get, repeats included."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []  # key and mark

    def receiver(self, inbox: Receiver) -> Receiver:
        return _HandsOn(self.published)


class _HandsOn:
    def __init__(self, published: list[tuple[str, str]]) -> None:
        self._published = published

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return Position(None, None)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        for event in map(decode, bodies):
            await asyncio.sleep(0.01)
            self._published.append((event.key, mark_of_id(event.id)))
        return first_seq + len(bodies) - 1


async def unrest(world: World) -> None:
    """One fault, or a change of the number of lanes."""
    rng, ends = world.rng, list(world.network.ends)
    draw = rng.random()
    if draw < 0.4:
        await world.operator.set_lanes(rng.choice(LANES))
    elif draw < 0.7:
        world.kill(rng.choice([*world.senders, *world.receivers]))
    elif ends:
        world.network.cut(rng.choice(ends))


def all_acked(world: World) -> bool:
    states, outbox = world.sending.table("stream"), world.sending.table("outbox")
    stamped = all(row.seq is not None for row in outbox.values())
    return bool(states) and stamped and all(state.acked_seq == state.last_seq for state in states.values())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_event_is_handed_on_after_the_earlier_ones_of_its_key(seed: int) -> None:
    receivers = Forgetful()

    async def story(world: World) -> None:
        world.retention_s = None
        world.network.rates.drop = 0.0  # what is lost at the begin of a session, nobody here would miss
        world.network.on_ack = lambda _end, _seq: None  # nothing is ever durable
        world.start()
        while world.events_left > 0:
            await asyncio.sleep(world.rng.random())
            await unrest(world)
        world.calm()
        until = world.loop.time() + 120
        while not all_acked(world):
            assert world.loop.time() < until
            await asyncio.sleep(0.1)
        for key in KEYS:
            first_time = tuple(dict.fromkeys(mark for of, mark in receivers.published if of == key))
            row = world.sending.table("aggregate").get(key)
            assert first_time == (() if row is None else row.marks)

    assert run_story(story, seed, receivers).violation is None
