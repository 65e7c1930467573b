"""A small queueing model of the ring on one machine, and what follows from it for larger ones.

Every hold passes each stage once, in a batch. A batch costs ``alone_us`` in all stages for being one at all (its round
trips, wake-ups, COMMITs), and its holds what they cost at full speed. A stage takes what came since it took its last
one: in a moment of ``moment_s``, and while the stage before it had a batch. So batches grow with the rate until the
machine can carry them: their size is where both agree.

On one machine the stages share its cores, and each has one batch at a time: they stretch each other as a finite number
of sources does, see sharing.py. A hold waits for a part of the work that its batch sets in motion (acknowledgements
and the like come after): that is measured once, at a low rate, as are the waits that cost no CPU, beside those that are
meant: for company.

A stage that is one process has one core at most, however many there are: it saturates at 1 / its CPU.
"""

from collections.abc import Callable, Sequence
from math import ceil, inf
from typing import NamedTuple

from bench.sharing import stretch


class Stage(NamedTuple):
    """``cpu_us``: of one hold at full speed. ``at_once``: how many cores it can use in one instance; 0 means as many as
    there are."""

    name: str
    cpu_us: float
    at_once: int = 1


class Point(NamedTuple):
    """What was measured at a rate: the CPU of a hold, and the mean time from its request to the portal's commit."""

    rate_per_s: float
    cpu_us: float
    mean_ms: float


class Model(NamedTuple):
    """``waits_ms``: what a hold waits beside its CPU, from the request to the portal's commit. ``awaited``: the part of
    a batch's work that it waits for."""

    stages: Sequence[Stage]
    waits_ms: float
    alone_us: float = 0.0
    moment_s: float = 0.0
    awaited: float = 1.0

    @property
    def cpu_us(self) -> float:
        """Of a hold at full speed."""
        return sum(stage.cpu_us for stage in self.stages)

    def cpu_us_at(self, rate_per_s: float, cores: int) -> float:
        """Of a hold at a rate. Raises ValueError beyond saturation."""
        return self.cpu_us + self.alone_us / self._together(rate_per_s, cores)

    def most_per_s(self, cores: int) -> float:
        """What one machine carries: its cores, or its narrowest process."""
        narrowest = min(1e6 * stage.at_once / stage.cpu_us for stage in self.stages if stage.at_once)
        return min(1e6 * cores / self.cpu_us, narrowest)

    def response_ms(self, rate_per_s: float, cores: int) -> float:
        """The mean time of a hold from the request to the portal's commit. Raises ValueError beyond saturation."""
        together = self._together(rate_per_s, cores)
        batch_ms = 1000 * len(self.stages) * self._stage_s(rate_per_s, cores, together)
        return self.waits_ms + self.awaited * batch_ms

    def cores(self, rate_per_s: float, at_most: float) -> list[tuple[str, float, int]]:
        """For a rate: each stage, the cores it keeps busy, and how many instances it takes at that utilisation."""
        busy = [(stage, rate_per_s * stage.cpu_us / 1e6) for stage in self.stages]
        return [(stage.name, cores, max(1, ceil(cores / at_most / (stage.at_once or 1)))) for stage, cores in busy]

    def _together(self, rate_per_s: float, cores: int) -> float:
        """Holds of a batch: the first, and as many as come before the next one begins."""
        if rate_per_s * self.cpu_us >= 1e6 * cores:
            raise ValueError(f"{rate_per_s:g}/s need {rate_per_s * self.cpu_us / 1e6 / cores:.0%} of {cores} cores")
        return _least(
            lambda size: 1 + rate_per_s * (self.moment_s + self._stage_s(rate_per_s, cores, size)) <= size, 1.0, 1e6
        )

    def _stage_s(self, rate_per_s: float, cores: int, together: float) -> float:
        """How long a stage has a batch of that size; for ever when the cores cannot carry such batches."""
        used = rate_per_s * (self.cpu_us + self.alone_us / together) / 1e6 / cores
        if used >= 1:
            return inf
        alone_s = (self.alone_us + together * self.cpu_us) / 1e6 / len(self.stages)
        return alone_s * stretch(used, cores, len(self.stages))


def calibrated(
    stages: Sequence[Stage], low: Point, cores: int, moment_s: float = 0.0, known_waits_ms: float = 0.0
) -> Model:
    """The model that has, at a low rate, the CPU and the mean that were measured there. ``known_waits_ms``: what a hold
    waits because the settings say so; the rest is first of all work."""
    bare = Model(stages, 0.0, 0.0, moment_s)

    def dear_enough(alone_us: float) -> bool:
        return bare._replace(alone_us=alone_us).cpu_us_at(low.rate_per_s, cores) >= low.cpu_us

    model = bare if dear_enough(0.0) else bare._replace(alone_us=_least(dear_enough, 0.0, 1e6))
    all_ms = model.response_ms(low.rate_per_s, cores)
    awaited = min(1.0, max(0.0, low.mean_ms - known_waits_ms) / all_ms)
    return model._replace(awaited=awaited, waits_ms=low.mean_ms - awaited * all_ms)


def _least(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The least value between two from which on ``holds`` is true, by halving; ``high`` when it is nowhere."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
