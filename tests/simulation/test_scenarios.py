"""Single stories in the simulated world, without chance: what a seed found once, and what no seed waits for."""

import asyncio

from tests.simulation.plan import KEYS
from tests.simulation.running import run_story
from tests.simulation.stories import begun, written
from tests.simulation.world import World
from ticketflow.delivery.pump import RECHECK_S


def test_a_receiver_that_lost_history_while_nothing_flows_is_found_and_replayed() -> None:
    async def story(world: World) -> None:
        await begun(world)
        older = world.receiving.snapshot()
        await written(world)
        world.receiving.restore(older)
        assert world.unsettled()
        await world.settled(within_s=2 * RECHECK_S)
        world.checkers.at_the_end()

    assert run_story(story).violation is None


def test_a_sender_that_is_set_back_under_its_live_session_stamps_nothing_over_what_was_sent() -> None:
    """Its relay's lease still stands and no connection breaks: it would go on at a seq the receiver already has."""

    async def story(world: World) -> None:
        await begun(world)
        older = world.sending.snapshot()
        sender = world.senders[0]
        await sender.process.spawn(sender.write_one_of_each())
        await world.settled(within_s=0.5)
        world.forget(older[0])
        world.sending.restore(older)
        await sender.process.spawn(sender.write_one_of_each())
        await asyncio.sleep(0.5)
        world.operate()
        await world.settled(within_s=60)
        world.checkers.at_the_end()
        assert len(world.checkers.forgotten) == len(KEYS)

    assert run_story(story).violation is None


def test_a_receiver_that_stands_still_is_left_for_the_other_and_does_no_harm_when_it_wakes() -> None:
    async def story(world: World) -> None:
        await begun(world)
        serving = next(node for node in world.receivers if node.server.streams)
        world.stop_for(serving.process, 30)
        await written(world)
        await asyncio.sleep(40)
        await written(world)
        world.checkers.at_the_end()

    assert run_story(story).violation is None


def test_a_relay_that_stands_still_past_its_lease_writes_nothing_when_it_wakes() -> None:
    async def story(world: World) -> None:
        await begun(world)
        relaying = next(node for node in world.senders if node.relay.leading)
        other = next(node for node in world.senders if node is not relaying)
        world.stop_for(relaying.process, 30)
        await other.process.spawn(other.write_one_of_each())
        await world.settled(within_s=10)
        assert other.relay.leading
        await asyncio.sleep(40)
        assert relaying.process.runs
        assert not relaying.relay.leading
        world.checkers.at_the_end()

    assert run_story(story).violation is None
