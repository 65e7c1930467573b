"""One drill, from a steady cluster to its history.

steady -> buyers come -> faults, each healed -> every node back -> the load ends -> drain -> the stores are read

Laws of this file:
- Whatever happens, Ctrl-C included, what was broken is healed.
- It judges nothing: what is not reached in time (recovered, drained) is written down as such.
- The load goes on until every node is back, so that an outage that outlasts its fault is measured whole.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from drills.arena import Arena
from drills.catalogue import Drill, Stage
from drills.clock import Clock
from drills.errors import NotSteady
from drills.faults import Fault
from drills.history import Fault as Struck
from drills.history import History
from drills.measures import is_error
from drills.progress import Tick
from drills.shop import open_shop
from drills.show import Hall, make
from drills.workload import Ledger, Workload

STEADY_LOAD_S = 8.0  # before the first fault: what the gaps during it are compared with
TAIL_S = 3.0  # of load after everything is back
BEFORE_S = 150.0  # the cluster may still be recovering from the drill before
RECOVER_S = 150.0
DRAIN_S = 150.0
VISITS_S = 200.0  # the longest visit: a hold with its patience, a payment with its, and following the order for 120 s
SEATS, STANDING = 600, 9_000  # more than the longest drill sells: nobody is refused for want of places
TICK_S = 1.0


@dataclass
class Course:
    """What has happened so far, for the history and for who watches."""

    clock: Clock
    ledger: Ledger
    phase: str = "steady"
    at_work: list[str] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)


async def conduct(drill: Drill, arena: Arena, seed: int, tell: Callable[[Tick], None]) -> History:
    """Raises DrillError when there can be no history: the cluster was not steady, or the stores cannot be read."""
    await arena.steadiness.steady(BEFORE_S)
    arena.audit.forget()
    course = Course(Clock(), Ledger())
    chance = random.Random(f"{seed}:{drill.name}")  # noqa: S311 - chance, no secret
    async with open_shop(arena.front, course.clock, course.ledger) as shop:
        prefix = f"{drill.name}-{int(course.clock.started_at_s)}"
        hall = await make(
            shop,
            arena.admin_key,
            name=prefix,
            seats=SEATS,
            standing=STANDING,
            hold_ttl_s=drill.times.hold_ttl_s,
            grace_s=drill.times.grace_s,
        )
        arena.audit.look_at(hall.show.event_id)
        workload = Workload(shop, hall, course.clock, seed=seed, prefix=prefix)
        ticking = asyncio.create_task(_tick(arena, course, workload, tell), name="ticks")
        try:
            return await _run(drill, arena, seed, chance, course, workload, hall)
        finally:
            ticking.cancel()
            await workload.close()
            await workload.finish(0)


async def _run(
    drill: Drill, arena: Arena, seed: int, chance: random.Random, course: Course, workload: Workload, hall: Hall
) -> History:
    workload.open()
    await asyncio.sleep(STEADY_LOAD_S)
    # Nobody leaves a hold to run out from now on: the drain would have to wait for it.
    workload.ease()
    course.phase = "faults"
    try:
        for stage in drill.stages(chance):
            await _strike(stage, arena, chance, course)
    except BaseException:
        await arena.nemesis.heal_all()
        raise
    course.phase = "heal"
    recovered_s = await _reached(arena.steadiness.healthy(RECOVER_S), course.clock)
    await asyncio.sleep(TAIL_S)
    await workload.close()
    course.phase = "drain"
    await workload.finish(VISITS_S)
    drained_s = await _reached(arena.steadiness.drained(DRAIN_S), course.clock)
    course.phase = "check"
    stores = await arena.audit.final(hall.show.event_id, course.clock.started_at_s)
    return History(
        drill=drill.name,
        seed=seed,
        started_at_s=course.clock.started_at_s,
        show=hall.show,
        load_began_s=workload.began_s,
        load_ended_s=workload.ended_s,
        recovered_s=recovered_s,
        drained_s=drained_s,
        ops=tuple(course.ledger.ops),
        faults=tuple(course.struck),
        samples=tuple(seen.sample(course.clock.at(seen.at_s)) for seen in arena.audit.observations),
        stores=stores,
        replicas=tuple(await arena.audit.replicas()),
    )


async def _strike(stage: Stage, arena: Arena, chance: random.Random, course: Course) -> None:
    """All faults of a stage at once; then, after its time, all are healed."""
    faults = [await fault.aim(arena.struck, chance) for fault in stage.faults]
    began_s = course.clock.now()
    course.at_work += [fault.describe() for fault in faults]
    try:
        await asyncio.gather(*(fault.inject(arena.struck) for fault in faults))
        await asyncio.sleep(stage.for_s)
    finally:
        await _heal(faults, arena)
        course.at_work.clear()
        course.struck += [Struck(fault.name, str(fault.target), began_s, course.clock.now()) for fault in faults]
    if stage.settle:
        with suppress(NotSteady):  # then the next restart finds it so, and the checkers see what came of it
            await arena.steadiness.healthy(RECOVER_S)


async def _heal(faults: Sequence[Fault], arena: Arena) -> None:
    await asyncio.gather(*(fault.heal(arena.struck) for fault in faults))


async def _reached(state: Coroutine[None, None, None], clock: Clock) -> float | None:
    """When it was reached; None: never."""
    try:
        await state
    except NotSteady:
        return None
    return clock.now()


async def _tick(arena: Arena, course: Course, workload: Workload, tell: Callable[[Tick], None]) -> None:
    errors, seen = 0, 0
    while True:
        ops = course.ledger.ops
        errors += sum(is_error(op) for op in ops[seen:])
        seen = len(ops)
        last = arena.audit.last
        tell(
            Tick(
                phase=course.phase,
                at_s=course.clock.now(),
                buyers=workload.arrived,
                inside=workload.inside,
                holds=course.ledger.ended["hold", "ok"],
                errors=errors,
                backlog=sum(last.backlog.values()) if last is not None else 0,
                faults=tuple(course.at_work),
                roles=arena.audit.roles,
            )
        )
        await asyncio.sleep(TICK_S)


def new_seed() -> int:
    return time.time_ns() % 1_000_000
