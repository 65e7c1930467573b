"""From a history to a verdict: what the checkers found, the figures, and whether they keep to the limits.

Laws of this file:
- Pure. A drill that could not be judged (its stores could not be read, say) is not safe: nobody knows.
- Safe wins over met: exit code 1 when a checker fails, 2 when only a limit is missed.
"""

from collections.abc import Iterable
from enum import IntEnum

import msgspec

from drills.checkers import Finding, check_all
from drills.history import Fault, History
from drills.limits import Limits, missed
from drills.measures import Figures, LeaderChange, Second, first_fault_s, leader_changes, measure, seconds


class ExitCode(IntEnum):
    KEPT = 0
    UNSAFE = 1
    MISSED = 2


class Verdict(msgspec.Struct, frozen=True):
    """One line of the results. None: not measured, or not limited."""

    name: str
    safe: bool
    checks: dict[str, bool]
    gap_s: float | None
    gap_s_max: float | None
    buyer_errors: int | None
    drain_s: float | None
    rewound: int | None
    met: bool
    missed: tuple[str, ...] = ()
    buyer_errors_max: int | None = None
    orders_gap_s: float | None = None
    orders_gap_s_max: float | None = None
    tickets_gap_s: float | None = None
    tickets_gap_s_max: float | None = None
    recover_s: float | None = None
    holds: int | None = None
    sold: int | None = None
    seed: int | None = None

    @property
    def exit_code(self) -> ExitCode:
        if not self.safe:
            return ExitCode.UNSAFE
        return ExitCode.KEPT if self.met else ExitCode.MISSED


class Timeline(msgspec.Struct, frozen=True):
    """What the report draws; seconds since the drill began. ``backlog``: (second, events) by stream."""

    load_began_s: float
    load_ended_s: float
    first_fault_s: float
    drained_s: float | None
    seconds: tuple[Second, ...]
    faults: tuple[Fault, ...]
    leader_changes: tuple[LeaderChange, ...]
    backlog: dict[str, tuple[tuple[float, int], ...]]
    roles: dict[str, str]  # at the end


class Judged(msgspec.Struct, frozen=True):
    """A drill with all that a report says of it. ``trouble``: why it could not be judged."""

    about: str
    verdict: Verdict
    limits: Limits
    started_at_s: float
    findings: tuple[Finding, ...] = ()
    figures: Figures | None = None
    timeline: Timeline | None = None
    trouble: str = ""

    @property
    def name(self) -> str:
        return self.verdict.name


def judge(history: History, limits: Limits, about: str = "") -> Judged:
    """``about``: the drill in a sentence, for the report."""
    findings, figures = check_all(history), measure(history)
    misses = missed(limits, figures)
    verdict = Verdict(
        name=history.drill,
        safe=all(finding.ok for finding in findings),
        checks={finding.name: finding.ok for finding in findings},
        gap_s=round(figures.gap_s, 2),
        gap_s_max=limits.gap_s_max,
        buyer_errors=figures.buyer_errors,
        drain_s=_rounded(figures.drain_s),
        rewound=figures.rewound,
        met=not misses,
        missed=misses,
        buyer_errors_max=limits.buyer_errors_max,
        orders_gap_s=round(figures.orders_gap_s, 2),
        orders_gap_s_max=limits.orders_gap_s_max,
        tickets_gap_s=round(figures.tickets_gap_s, 2),
        tickets_gap_s_max=limits.tickets_gap_s_max,
        recover_s=_rounded(figures.recover_s),
        holds=figures.holds,
        sold=figures.sold,
        seed=history.seed,
    )
    return Judged(about, verdict, limits, history.started_at_s, findings, figures, _timeline(history))


def unjudged(name: str, limits: Limits, trouble: str, *, about: str = "", started_at_s: float = 0.0) -> Judged:
    """A drill that broke before there was a history."""
    verdict = Verdict(name, False, {}, None, limits.gap_s_max, None, None, None, False, (f"no verdict: {trouble}",))
    return Judged(about, verdict, limits, started_at_s, trouble=trouble)


def exit_code(verdicts: Iterable[Verdict]) -> ExitCode:
    """Of several drills: the worst."""
    codes = {verdict.exit_code for verdict in verdicts}
    return next((code for code in (ExitCode.UNSAFE, ExitCode.MISSED) if code in codes), ExitCode.KEPT)


def _timeline(history: History) -> Timeline:
    backlog: dict[str, list[tuple[float, int]]] = {}
    roles: dict[str, str] = {}
    for sample in history.samples:
        roles |= sample.roles
        for stream, events in sample.backlog.items():
            backlog.setdefault(stream, []).append((round(sample.at_s, 1), events))
    return Timeline(
        history.load_began_s,
        history.load_ended_s,
        first_fault_s(history),
        history.drained_s,
        seconds(history),
        history.faults,
        leader_changes(history),
        {stream: tuple(points) for stream, points in backlog.items()},
        roles,
    )


def _rounded(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s, 2)
