"""Single stories of lanes in the simulated world, without chance."""

import asyncio

import pytest

from tests.simulation.plan import KEYS
from tests.simulation.running import run_story
from tests.simulation.stories import begun, written
from tests.simulation.world import World


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
        await world.settled(within_s=60)
        world.checkers.at_the_end()
        assert len(world.checkers.forgotten) == rounds * len(KEYS)

    assert run_story(story).violation is None
