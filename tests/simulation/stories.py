"""What the single stories begin with."""

from collections.abc import Sequence

from tests.simulation.plan import KEYS
from tests.simulation.world import World


async def begun(world: World) -> None:
    """Everything runs, nothing goes wrong, and a first event of each key has arrived."""
    world.calm()
    world.retention_s = None
    world.events_left = 0
    world.start()
    await written(world)


async def committed(world: World, keys: Sequence[str] = KEYS) -> None:
    """One more event of each of ``keys`` is committed."""
    sender = world.senders[0]
    await sender.process.spawn(sender.write_one_of_each(keys))


async def written(world: World) -> None:
    """One more event of each key is committed, and has arrived."""
    await committed(world)
    await world.settled(within_s=10)
