"""Results as a table for docs/performance.md: ``python -m bench table FILE``."""

from collections.abc import Iterator

from bench.results import Results

SIGNS = {"at least": "≥", "at most": "≤"}


def table(results: Results) -> Iterator[str]:
    """Lines of Markdown, the machine below the goals."""
    yield "| goal | ours | the other | ratio | goal | |"
    yield "|---|---|---|---|---|---|"
    for one in results.goals:
        figures = f"{figure(one.ours)} {one.unit} | {figure(one.other)} | {figure(one.ratio)} x"
        reach = f"{SIGNS[one.reach]} {one.goal:g} x"
        yield f"| `{one.name}` | {figures} | {reach} | {'met' if one.met else '**missed**'} |"
    yield ""
    yield f"On {str(results.machine).rstrip(', ')}."


def figure(value: float) -> str:
    """Three digits, more only before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
