"""docs/drills.md: every drill with what is expected of it and what the last full run measured. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from drills.catalogue import Drill
from drills.limits import Limits

HEAD = """# Drills: what is expected, and what was measured

Written by `python -m drills all` from the catalogue and [drills/results](../drills/results); do not edit. How a drill
works, and what its verdict means: [operations](operations.md#drills).

{run}

Gaps are the longest time between two acknowledged holds, orders that became PENDING, or tickets that were issued, from
the first fault to the end of the load. "As before": twice what the steady state before the fault had, a second at
least. Errors are what buyers saw after all their retries. Every drill must be safe.

| drill | what is done | limits | verdict | holds' gap | orders' | tickets' | errors | recovered | drained | rewound |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def page(drills: Sequence[Drill], results: Mapping[str, Any] | None, name: str = "") -> str:
    """``results``: the last full run as it is kept in drills/results, from the file ``name``; None before the first."""
    measured = {} if results is None else {verdict["name"]: verdict for verdict in results["drills"]}
    run = "No full run has been kept yet." if results is None else f"Last full run: `{name}`, on {_machine(results)}."
    return HEAD.format(run=run) + "".join(_row(drill, measured.get(drill.name)) for drill in drills)


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    memory = f"{machine['memory_mib'] / 1024:.0f} GiB"
    return f"{machine['cores']} cores, {memory}, Linux {machine['kernel']}, {machine['engine']}"


def _row(drill: Drill, verdict: Mapping[str, Any] | None) -> str:
    about = [f"`{drill.name}`{' (CI)' if drill.ci else ''}", drill.about, _limits(drill.limits)]
    if verdict is None:
        return _line([*about, *["-"] * 8])
    said = "safe, met" if verdict["safe"] and verdict["met"] else "safe, missed" if verdict["safe"] else "NOT SAFE"
    gaps = [_seconds(verdict.get(gap)) for gap in ("gap_s", "orders_gap_s", "tickets_gap_s")]
    errors, rewound = (_count(verdict.get(figure)) for figure in ("buyer_errors", "rewound"))
    times = [_seconds(verdict.get(time)) for time in ("recover_s", "drain_s")]
    return _line([*about, said, *gaps, errors, *times, rewound])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _limits(limits: Limits) -> str:
    gaps = (
        ("holds", limits.gap_s_max),
        ("orders", limits.orders_gap_s_max),
        ("tickets", limits.tickets_gap_s_max),
    )
    said = [f"{what} {'as before' if most == 0 else f'{most:g} s'}" for what, most in gaps if most is not None]
    if limits.buyer_errors_max is not None:
        said.append(f"{limits.buyer_errors_max} errors")
    return ", ".join(said) or "safe"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)
