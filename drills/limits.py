"""What a drill must keep to, as data, and what it has missed.

A limit that is None is not asked. Every unit is in its name; the figures are those of drills/measures.py.
"""

from collections.abc import Iterator

import msgspec

from drills.measures import Figures

# A limit of 0 says that the fault may not be felt. Arrivals have gaps of their own, so that it is measured against the
# steady state before the fault: at most twice its longest gap (the maximum of a longer window is longer), or a second,
# for which two shared cores may be busy with killing, starting and joining containers. Whoever really waits for what
# was struck waits longer.
UNFELT_FACTOR = 2
UNFELT_S = 1.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """0 in ``..._gap_s_max``: no longer than in steady state."""

    gap_s_max: float | None = None  # between acknowledged holds
    orders_gap_s_max: float | None = None  # between orders that become PENDING
    tickets_gap_s_max: float | None = None  # between tickets
    buyer_errors_max: int | None = None
    drain_s_max: float = 120.0  # what waits is bounded by the drill's length; sending it takes seconds
    recover_s_max: float = 120.0  # a container that starts, and the slowest join of a cluster (a full state transfer)


def missed(limits: Limits, figures: Figures) -> tuple[str, ...]:
    """Each limit that was missed, as a sentence."""
    return tuple(_missed(limits, figures))


def _missed(limits: Limits, figures: Figures) -> Iterator[str]:
    gaps = (
        ("acknowledged holds", figures.gap_s, figures.gap_steady_s, limits.gap_s_max),
        ("orders", figures.orders_gap_s, figures.orders_gap_steady_s, limits.orders_gap_s_max),
        ("tickets", figures.tickets_gap_s, figures.tickets_gap_steady_s, limits.tickets_gap_s_max),
    )
    for what, gap_s, steady_s, most_s in gaps:
        if most_s is not None and gap_s > allowed_s(most_s, steady_s):
            yield f"longest gap between {what}: {gap_s:.1f} s, at most {_told(most_s, steady_s)}"
    most = limits.buyer_errors_max
    if most is not None and figures.buyer_errors > most:
        yield f"errors that buyers saw: {figures.buyer_errors}, at most {most}"
    yield from _too_late("drained", figures.drain_s, limits.drain_s_max)
    yield from _too_late("all healthy", figures.recover_s, limits.recover_s_max)


def allowed_s(most_s: float, steady_s: float) -> float:
    """The gap that a limit allows."""
    return max(UNFELT_FACTOR * steady_s, UNFELT_S) if most_s == 0 else most_s


def _told(most_s: float, steady_s: float) -> str:
    if most_s == 0:
        return f"{allowed_s(most_s, steady_s):.1f} s, as in steady state ({steady_s:.1f} s)"
    return f"{most_s:.1f} s"


def _too_late(what: str, took_s: float | None, most_s: float) -> Iterator[str]:
    if took_s is None:
        yield f"{what}: never, at most after {most_s:.0f} s"
    elif took_s > most_s:
        yield f"{what}: after {took_s:.1f} s, at most after {most_s:.0f} s"
