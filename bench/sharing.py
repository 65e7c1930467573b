"""What work waits for that shares cores with the work of a few others: a finite number of sources, M/M/c//k.

Each of k sources has one piece of work at a time, and then none for a while. So never more than k pieces are there, and
they stretch each other k / c times at most: an open queue (M/M/c) at the same utilisation would have no such end.
See Lazowska and others, Quantitative System Performance, chapter 7: load dependent centres with a terminal workload.
"""

from collections.abc import Sequence


def stretch(used: float, cores: int, sources: int) -> float:
    """How many times longer a piece of work takes than alone, when ``sources`` keep a part of ``used`` of all
    ``cores`` busy, 0 <= used < 1."""
    if sources <= cores or used <= 0:
        return 1.0
    low, high = 0.0, 1.0  # how much work a source has, while it has none: in parts of one that has 1 : 1
    while _busy(_there(high, cores, sources), cores) < used * cores:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if _busy(_there(middle, cores, sources), cores) < used * cores:
            low = middle
        else:
            high = middle
    there = _there(high, cores, sources)
    return sum(number * share for number, share in enumerate(there)) / _busy(there, cores)


def _there(ratio: float, cores: int, sources: int) -> Sequence[float]:
    """The part of the time for which so many pieces of work are there, by number."""
    weights = [1.0]
    for number in range(sources):
        weights.append(weights[-1] * ratio * (sources - number) / min(number + 1, cores))
    whole = sum(weights)
    return [weight / whole for weight in weights]


def _busy(there: Sequence[float], cores: int) -> float:
    return sum(min(number, cores) * share for number, share in enumerate(there))
