"""Single stories of lanes in the simulated world, without chance: what a seed found once, and what none waits for."""

import asyncio
from typing import Any, cast

import pytest

from tests.simulation import listener
from tests.simulation.dialect_lanes import slot_of
from tests.simulation.loop import Process
from tests.simulation.plan import KEYS, LEASE_TTL_S, LIMITS, PORT, STREAM
from tests.simulation.running import run_story
from tests.simulation.store import SimulatedStore
from tests.simulation.stories import begun, committed, written
from tests.simulation.world import World
from ticketflow.delivery import Lane, Relay, Retention
from ticketflow.feed import Address


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_sender_that_lost_history_and_changes_its_lanes_before_it_has_heard_of_its_receiver(rounds: int) -> None:
    """Barriers are due, and the receiver has other events under the seqs that come next."""

    async def story(world: World) -> None:
        await begun(world)
        await world.operator.set_lanes(2)
        await written(world)
        older = world.sending.snapshot()
        for _ in range(rounds):
            await written(world)
        world.forget(older[0])
        for node in world.senders:
            world.stop_for(node.process, 4)
        world.sending.restore(older)
        await world.operator.set_lanes(3)
        world.operate()
        await asyncio.sleep(5)
        await written(world)
        world.checkers.at_the_end()
        assert len(world.checkers.forgotten) == rounds * len(KEYS)

    assert run_story(story).violation is None


def test_a_lane_that_was_retired_and_purged_when_its_sender_was_copied_is_found_to_have_lost_history() -> None:
    """No relay asks about such a lane: it is first heard of after its number is used again."""

    async def story(world: World) -> None:
        await begun(world)
        await world.operator.set_lanes(3)
        await written(world)
        await world.operator.set_lanes(1)
        await written(world)
        sender, dialect = world.senders[0], cast(Any, world.dialect)
        await sender.process.spawn(Retention(sender.store, dialect, streams=[STREAM], retention_s=0).run_once())
        older = world.sending.snapshot()
        await world.operator.set_lanes(3)
        await written(world)
        await written(world)
        world.forget(older[0])
        world.sending.restore(older)
        await asyncio.sleep(10)
        world.operate()
        await world.settled(within_s=60)
        await written(world)
        world.checkers.at_the_end()
        assert len(world.checkers.forgotten) == 2 * len(KEYS)

    assert run_story(story).violation is None


def test_a_relay_that_believes_in_a_number_of_lanes_that_was_forgotten_writes_nothing() -> None:
    """A sender is set back to before a change: who still has the old number finds the lease of that number free."""

    async def story(world: World) -> None:
        await begun(world)
        process = Process("stale", world.loop)
        stale = Relay(
            SimulatedStore(world.sending, process),
            cast(Any, world.dialect),
            stream=STREAM,
            addresses=[Address(node.name, PORT) for node in world.receivers],
            owner=process.name,
            limits=LIMITS,
            lease_ttl_s=LEASE_TTL_S,
            connect=listener.connect,
            lane=Lane(STREAM, 0),
            lease=Lane(STREAM, 0).lease(3),
        )
        process.spawn(stale.run())
        await asyncio.sleep(1)
        await written(world)
        assert not stale.leading

    assert run_story(story).violation is None


def test_a_receiver_that_lost_history_waits_at_the_barrier_for_the_lane_that_has_not_noticed() -> None:
    async def story(world: World) -> None:
        empty = world.receiving.snapshot()
        await begun(world)
        await world.operator.set_lanes(4)
        await written(world)
        world.receiving.restore(empty)
        for end in tuple(world.network.ends):
            if end.stream != STREAM:
                world.network.cut(end)
        await committed(world, [key for key in KEYS if slot_of(key) % 4])  # nothing to wake lane 0
        await world.settled(within_s=60)
        world.checkers.at_the_end()

    outcome = run_story(story, traced=True)
    assert outcome.violation is None
    assert "which stands at 0" in outcome.trace
