"""What moved between two files of results."""

from collections.abc import Iterator

from bench.results import Results

NOISE = 0.10  # a ratio that moved by less may not have moved at all


def compared(before: Results, after: Results) -> Iterator[str]:
    """A line for each goal of either."""
    old = {one.name: one for one in before.goals}
    new = {one.name: one for one in after.goals}
    if before.machine != after.machine:
        yield f"Not the same machine: {before.machine}; {after.machine}"
    for name in dict.fromkeys((*old, *new)):
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            yield f"{name:<24} {'is new' if was is None else 'is gone'}"
            continue
        change = now.ratio / was.ratio - 1
        better = change if now.reach == "at least" else -change
        word = "the same" if abs(change) <= NOISE else "better" if better > 0 else "WORSE"
        met = "" if was.met == now.met else ", met now" if now.met else ", MISSED now"
        yield f"{name:<24} {was.ratio:>7.3g}x -> {now.ratio:>7.3g}x  {change:+6.0%}  {word}{met}"
