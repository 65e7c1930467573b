"""The queueing model of docs/capacity.md against the ring itself: calibrated at one rate, checked at two others."""

import asyncio
from collections.abc import Iterable
from itertools import groupby
from statistics import mean, median

from bench.cpu import used_s
from bench.goal import Goal, Measured, Round
from bench.model import Point, Stage, calibrated
from bench.ring import CONNECTIONS, SETTLE_S, one
from bench.ring_load import Load
from bench.ring_stack import RingStack, ring_stack
from bench.run import Run
from drills.machine import machine
from portal.consumer import GATHER_S as PORTAL_GATHERS_S
from reservation.service import GATHER_S as RELAY_GATHERS_S
from reservation.store_placing import PACE_S_MAX

POINT_S = 5.0
CALIBRATED_AT = 0.1  # of the maximum
CHECKED_AT = (0.3, 0.5)
BY_ITSELF = ("postgres", "mariadb", "rabbitmq", "nginx")  # many processes or threads: as many cores as there are
MOMENT_S = PACE_S_MAX  # of the front on a busy machine, which brings the others their batches
KNOWN_WAITS_MS = 1000 * (PACE_S_MAX / 2 + RELAY_GATHERS_S + PORTAL_GATHERS_S)  # for company; half a step in the mean
WINDOW_S = 0.5  # the disk stands still for a tenth to a half of a second every few: no queue of ours


async def measure(run: Run) -> Measured:
    """The factor by which the model is off, up or down, at the worse of two rates."""
    cores, found = machine("").cores, []
    async with ring_stack(run) as stack:
        await one(stack, pay=False, name="warm up")
        for number in range(1, run.rounds + 1):
            most, cost_us = await one(stack, pay=False, name=f"most {number}")
            stages = [Stage(name, us, 0 if name in BY_ITSELF else 1) for name, us in cost_us.items() if us > 1]
            model = calibrated(stages, await point(stack, CALIBRATED_AT * most), cores, MOMENT_S, KNOWN_WAITS_MS)
            off, notes = 1.0, dict[str, float | int | str]()
            for share in CHECKED_AT:
                rate = share * most
                measured, told = await point(stack, rate), model.response_ms(rate, cores)
                off = max(off, measured.mean_ms / told, told / measured.mean_ms)
                notes[f"at {share:.0%} of the maximum"] = (
                    f"{rate:,.0f}/s: {measured.mean_ms:.1f} ms, the model {told:.1f} ms;"
                    f" CPU {measured.cpu_us:,.0f} us, the model {model.cpu_us_at(rate, cores):,.0f} us"
                )
            notes["waits, ms"] = round(model.waits_ms, 2)
            notes["CPU at full speed, us a hold"] = round(model.cpu_us)
            notes["CPU of a batch beside, us"] = round(model.alone_us)
            notes["of which a hold waits for"] = round(model.awaited, 2)
            run.tell(f"round {number} of {run.rounds}: off by {off:.2f}; {notes}")
            found.append((Round(off, 1.0), notes))
    return Measured.typical(found)


async def point(stack: RingStack, rate: float) -> Point:
    """What a hold costs at that rate, and takes: from when its request was due to the portal's commit."""
    event_id, seats = await stack.event("paced")
    await asyncio.sleep(SETTLE_S)
    port = stack.ring.stack.settings.http_port
    before = stack.cpu_s()
    report = await stack.load(Load(port, event_id, seats, CONNECTIONS, POINT_S, rate=rate))
    assert not report.refused, report.refused
    committed = await stack.committed(event_id, len(report.began))
    used = sum(used_s(before, stack.cpu_s()).values()) + report.cpu_s
    took = ((at - report.started_at, committed[hold] - at) for hold, at in report.began.items())
    return Point(rate, 1e6 * used / len(report.began), 1000 * typical_mean(took))


def typical_mean(took: Iterable[tuple[float, float]]) -> float:
    """The median of the means of all windows; of pairs of when and how long, s."""
    windows = groupby(sorted(took), key=lambda one: one[0] // WINDOW_S)
    return median(mean(s for _, s in some) for _, some in windows)


GOALS = (
    Goal(
        "ring-model",
        "by what factor the queueing model is off at 30 and 50 % of the maximum",
        "the measured mean of a typical half second",
        "x",
        "at most",
        1.5,
        measure,
    ),
)
