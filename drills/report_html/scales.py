"""From values to places on a chart."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple

ROUND = (1, 2, 3, 4, 5, 6, 8, 10)  # times a power of ten; each has a half that is worth a line
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200)
BURST = 2  # times the median: the usual seconds keep half of the height
TICKS_MOST = 13  # labels of "10:00" stay apart, on a chart of 1000


class Linear(NamedTuple):
    """``from_value`` lies at ``from_place``, ``to_value`` at ``to_place``."""

    from_value: float
    to_value: float
    from_place: float
    to_place: float

    def __call__(self, value: float) -> float:
        share = (value - self.from_value) / ((self.to_value - self.from_value) or 1)
        return self.from_place + share * (self.to_place - self.from_place)


class Logarithmic(NamedTuple):
    """Whole decades; what is below the first lies on it."""

    from_value: float
    to_value: float
    from_place: float
    to_place: float

    def __call__(self, value: float) -> float:
        low, high = log10(self.from_value), log10(self.to_value)
        share = (log10(max(value, self.from_value)) - low) / (high - low)
        return self.from_place + share * (self.to_place - self.from_place)

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(round(log10(self.from_value)), round(log10(self.to_value)) + 1)]


def logarithmic(values: Sequence[float], from_place: float, to_place: float) -> Logarithmic:
    """Two decades at least, so that calm looks calm."""
    low = 10.0 ** floor(log10(max(0.1, min(values, default=1.0))))
    high = 10.0 ** ceil(log10(max(max(values, default=1.0), low * 100)))
    return Logarithmic(low, high, from_place, to_place)


def top_of(values: Sequence[float]) -> float:
    """A round number that is not below any of them, and not far above."""
    most = max([1.0, *values])
    power = 10.0 ** floor(log10(most))
    return next(step * power for step in ROUND if step * power >= most)


def usual_top(values: Sequence[float]) -> float:
    """As top_of, but for what is far above the rest: all that had waited comes in one burst, and would flatten the
    other seconds."""
    busy = sorted(value for value in values if value > 0)
    return top_of([min(busy[-1], BURST * busy[len(busy) // 2])]) if busy else top_of([])


def time_ticks(end_s: float) -> list[float]:
    """Round moments from 0 on."""
    step = next((step for step in STEPS_S if end_s / step <= TICKS_MOST), STEPS_S[-1])
    return [float(second) for second in range(0, int(end_s) + 1, step)]


def lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """A lane for each span, in order of their beginnings, such that none overlap: the first that is free."""
    ends: list[float] = []
    placed = []
    for began, ended in spans:
        lane = next((index for index, end in enumerate(ends) if end <= began), len(ends))
        ends[lane : lane + 1] = [ended]
        placed.append(lane)
    return placed
