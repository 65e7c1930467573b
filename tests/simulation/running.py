"""Running one seed, many seeds, or seeds until a bug is found."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from unittest.mock import patch

from tests.simulation import logs
from tests.simulation.bugs import Bug
from tests.simulation.checkers import Violation
from tests.simulation.loop import SimulatedLoop
from tests.simulation.trace import Trace
from tests.simulation.world import World
from ticketflow.delivery import ledger


@dataclass(frozen=True)
class Outcome:
    seed: int
    violation: str | None
    trace: str
    simulated_s: float
    steps: int


def run_seed(seed: int, bug: Bug | None = None, *, traced: bool = False) -> Outcome:
    """The same seed and bug give the same outcome, and the same bytes of trace, everywhere."""
    return run_story(World.live, seed, bug, traced=traced)


def run_story(
    story: Callable[[World], Awaitable[None]], seed: int = 0, bug: Bug | None = None, *, traced: bool = False
) -> Outcome:
    """A story of one's own in a new world. What it raises passes, but for Violation."""
    bug = bug or Bug()
    trace = Trace(traced)
    loop = SimulatedLoop()

    async def live() -> None:
        world = World(seed, bug, trace, loop)
        barriers = patch.object(ledger, "barrier_event", world.new_barrier)
        with barriers, logs.captured(world.logged, all_levels=traced):
            await story(world)

    violation: str | None = None
    try:
        with bug.planted():
            loop.run_until_complete(live())
    except Violation as found:
        violation = str(found)
    finally:
        trace.on = False  # what is unwound now did not happen
        loop.end()
    return Outcome(seed, violation, trace.text(), loop.time(), loop.steps)


def first_violation(seeds: Iterable[int], bug: Bug | None = None) -> Outcome | None:
    for seed in seeds:
        outcome = run_seed(seed, bug)
        if outcome.violation is not None:
            return outcome
    return None
