"""A verdict in words, and many as a table: for a terminal, and for whatever has no more than letters."""

from collections.abc import Iterable, Sequence

from drills.verdict import Judged, Verdict


def words(verdict: Verdict) -> str:
    """The verdict in words."""
    if not verdict.safe:
        return "NOT SAFE"
    return "safe, limits kept" if verdict.met else "safe, LIMITS MISSED"


def figures_line(verdict: Verdict) -> str:
    if verdict.gap_s is None:
        return ""
    gap = f"longest gap {_with_limit(verdict.gap_s, verdict.gap_s_max)} s"
    errors = f"{_with_limit(verdict.buyer_errors, verdict.buyer_errors_max)} errors"
    return f"{gap}, {errors}, drained in {_number(verdict.drain_s)} s, {verdict.rewound} rewound"


def reasons(judged: Judged) -> list[str]:
    """Why it is not safe, or not met."""
    failed = [finding for finding in judged.findings if not finding.ok]
    problems = [f"{finding.name}: {problem}" for finding in failed for problem in finding.problems]
    return [*problems, *judged.verdict.missed]


HEAD = ("drill", "verdict", "gap s", "max", "errors", "max", "orders gap s", "max", "drain s", "rewound")


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """Aligned lines, the head first."""
    rows = [HEAD, *(_cells(verdict) for verdict in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    """Words to the left, numbers to the right."""
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if column < 2 else cell.rjust(width)


def _cells(verdict: Verdict) -> tuple[str, ...]:
    failed = [name for name, ok in verdict.checks.items() if not ok]
    told = words(verdict) + (f": {', '.join(failed)}" if failed else "")
    return (
        verdict.name,
        told,
        _number(verdict.gap_s),
        _number(verdict.gap_s_max),
        _number(verdict.buyer_errors),
        _number(verdict.buyer_errors_max),
        _number(verdict.orders_gap_s),
        _number(verdict.orders_gap_s_max),
        _number(verdict.drain_s),
        _number(verdict.rewound),
    )


def _with_limit(value: float | None, most: float | None) -> str:
    return _number(value) if most is None else f"{_number(value)} (max {_number(most)})"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
