"""End to end: from a buyer's request through all four services to the portal's commit."""

import asyncio
from collections.abc import Callable, Coroutine
from statistics import quantiles
from typing import Any

from bench.cpu import used_s
from bench.disk import flushes
from bench.goal import Goal, Measured, Round
from bench.ring_load import Load
from bench.ring_stack import RingStack, ring_stack
from bench.run import Run
from drills.machine import machine

CONNECTIONS = 32
LOAD_S = 6.0
P99_MS_MAX = 50.0
SETTLE_S = 3.0

Measure = Callable[[Run], Coroutine[Any, Any, Measured]]


def at_full_speed(*, pay: bool) -> Measure:
    """Events (or whole sales) a second, and what two cores could do at that cost."""

    async def measure(run: Run) -> Measured:
        found = []
        async with ring_stack(run) as stack:
            await one(stack, pay=pay, name="warm up")
            for number in range(1, run.rounds + 1):
                rate, cost_us = await one(stack, pay=pay, name=f"round {number}")
                limit = machine("").cores * 1e6 / sum(cost_us.values())
                notes = {f"CPU of {name}, us each": round(us, 1) for name, us in _sorted(cost_us)}
                found.append((Round(rate, limit), notes))
                run.tell(f"round {number} of {run.rounds}: {rate:,.0f}/s; by CPU {limit:,.0f}/s, {rate / limit:.0%}")
        return Measured.typical(found)

    return measure


async def one(
    stack: RingStack, *, pay: bool, name: str, rate: float = 0.0, event: tuple[str, list[str]] | None = None
) -> tuple[float, dict[str, float]]:
    """How many a second from the first request to the portal's last commit, and their CPU by program in us each.
    ``event``: to sell; else a new one."""
    event_id, seats = event or await stack.event(name)
    before = stack.cpu_s()
    report = await stack.load(
        Load(stack.ring.stack.settings.http_port, event_id, seats, CONNECTIONS, LOAD_S, rate=rate, pay=pay)
    )
    assert not report.refused, report.refused
    committed = await stack.committed(event_id, len(report.began), "CONFIRMED" if pay else "")
    used = used_s(before, stack.cpu_s()) | {"the load": report.cpu_s}
    count = len(report.began)
    assert set(committed) == set(report.began), "the portal has what nobody asked for, or lacks what was acknowledged"
    took_s = max(committed.values()) - report.started_at
    return count / took_s, {name: 1e6 * s / count for name, s in used.items()}


def paced(*, pay: bool) -> Measure:
    """The 99th percentile from when a request was due to the portal's commit, at half of the maximum; ms."""

    async def measure(run: Run) -> Measured:
        found = []
        async with ring_stack(run) as stack:
            await one(stack, pay=pay, name="warm up")
            for number in range(1, run.rounds + 1):
                # Before anything is measured: 50,000 new seats keep Postgres and the replicas busy for some seconds.
                at_most, (event_id, seats) = [await stack.event(f"{name} {number}") for name in ("most", "paced")]
                await asyncio.sleep(SETTLE_S)
                # Anew for each round: this machine changes its speed by the minute.
                most, _ = await one(stack, pay=pay, name=f"most {number}", event=at_most)
                rate = most / 2
                run.tell(f"half of the maximum is {rate:,.0f}/s")
                port = stack.ring.stack.settings.http_port
                async with flushes(stack.ring.stack.places.postgres.parent) as disk:
                    report = await stack.load(Load(port, event_id, seats, CONNECTIONS, LOAD_S, rate=rate, pay=pay))
                assert not report.refused, report.refused
                committed = await stack.committed(event_id, len(report.began), "CONFIRMED" if pay else "")
                whole_ms = [1000 * (committed[hold] - at) for hold, at in report.began.items()]
                answers_ms = [1000 * s for s in report.hold_s]
                p99_ms = _percentile(whole_ms, 99)
                notes: dict[str, float | int | str] = {
                    "rate, 1/s": round(rate),
                    "end to end p50, ms": round(_percentile(whole_ms, 50), 1),
                    "HTTP p50, ms": round(_percentile(answers_ms, 50), 1),
                    "HTTP p99, ms": round(_percentile(answers_ms, 99), 1),
                    "disk: p99 of a flush, ms": round(_percentile(disk.took_ms, 99), 1),
                    "disk: slowest flush, ms": round(max(disk.took_ms), 1),
                }
                run.tell(f"round {number} of {run.rounds}: p99 {p99_ms:.1f} ms; {notes}")
                found.append((Round(p99_ms, P99_MS_MAX), notes))
        return Measured.typical(found)

    return measure


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1]


def _sorted(cost_us: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(cost_us.items(), key=lambda item: -item[1])


GOALS = (
    Goal(
        "ring-cpu",
        "holds a second, from the request to the portal's commit",
        "what all cores could do at the CPU that each one costs",
        "holds/s",
        "at least",
        0.75,
        at_full_speed(pay=False),
    ),
    Goal(
        "ring-p99",
        "p99 from the request to the portal's commit, at half of the maximum rate",
        "50 ms",
        "ms",
        "at most",
        1.0,
        paced(pay=False),
    ),
    Goal(
        "sale-cpu",
        "whole sales a second, from the request for a hold to the tickets in the portal",
        "what all cores could do at the CPU that each one costs",
        "sales/s",
        "at least",
        0.75,
        at_full_speed(pay=True),
    ),
)
