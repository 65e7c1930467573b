"""What the single stories begin with."""

from tests.simulation.world import World


async def begun(world: World) -> None:
    """Everything runs, nothing goes wrong, and a first event of each key has arrived."""
    world.calm()
    world.retention_s = None
    world.events_left = 0
    world.start()
    await written(world)


async def written(world: World) -> None:
    """One more event of each key is committed, and has arrived."""
    sender = world.senders[0]
    await sender.process.spawn(sender.write_one_of_each())
    await world.settled(within_s=10)
