"""A small queueing model of the ring on one machine, and what follows from it for larger ones.

Every hold passes each stage once, together with those that came within the same moment: at each stage a batch costs
``alone_us`` for being one at all (its round trips, wake-ups, COMMITs), and its holds what they cost at full speed. With
moments of ``moment_s``, in which ``r * moment_s`` others come, n = 1 + r * moment_s holds share that.

On one machine the stages share its cores, so the CPU is one station at which the work waits: with c cores at
utilisation u the wait stretches the work by 1 / (1 - u^c), which is exact for two cores that share time and Poisson
arrivals (M/M/2), and close enough for others. Beside its CPU a hold waits for what costs no CPU: fsyncs, the broker's
confirm, its moments. That part is measured once, at a low rate, and does not grow.

A stage that is one process has one core at most, however many there are: it saturates at 1 / its CPU.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple


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
    """``waits_ms``: what a hold waits beside its CPU, from the request to the portal's commit."""

    stages: Sequence[Stage]
    waits_ms: float
    alone_us: float = 0.0
    moment_s: float = 0.0

    @property
    def cpu_us(self) -> float:
        """Of a hold at full speed."""
        return sum(stage.cpu_us for stage in self.stages)

    def cpu_us_at(self, rate_per_s: float) -> float:
        """Of a hold at a rate."""
        return self.cpu_us + self.alone_us / self._together(rate_per_s)

    def most_per_s(self, cores: int) -> float:
        """What one machine carries: its cores, or its narrowest process."""
        narrowest = min(1e6 * stage.at_once / stage.cpu_us for stage in self.stages if stage.at_once)
        return min(1e6 * cores / self.cpu_us, narrowest)

    def response_ms(self, rate_per_s: float, cores: int) -> float:
        """The mean time of a hold from the request to the portal's commit. Raises ValueError beyond saturation."""
        used = rate_per_s * self.cpu_us_at(rate_per_s) / 1e6 / cores
        if used >= 1:
            raise ValueError(f"{rate_per_s:g}/s need {used:.0%} of {cores} cores")
        batch_us = self._together(rate_per_s) * self.cpu_us_at(rate_per_s)
        return self.waits_ms + batch_us / 1000 / (1 - used**cores)

    def cores(self, rate_per_s: float, at_most: float) -> list[tuple[str, float, int]]:
        """For a rate: each stage, the cores it keeps busy, and how many instances it takes at that utilisation."""
        busy = [(stage, rate_per_s * stage.cpu_us / 1e6) for stage in self.stages]
        return [(stage.name, cores, max(1, ceil(cores / at_most / (stage.at_once or 1)))) for stage, cores in busy]

    def _together(self, rate_per_s: float) -> float:
        return 1 + rate_per_s * self.moment_s


def calibrated(stages: Sequence[Stage], low: Point, cores: int, moment_s: float = 0.0) -> Model:
    """The model that has, at a low rate, the CPU and the mean that were measured there."""
    bare = Model(stages, 0.0)
    alone_us = max(0.0, low.cpu_us - bare.cpu_us) * (1 + low.rate_per_s * moment_s)
    model = Model(stages, 0.0, alone_us, moment_s)
    return model._replace(waits_ms=max(0.0, low.mean_ms - model.response_ms(low.rate_per_s, cores)))
