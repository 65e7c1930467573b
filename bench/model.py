"""A small queueing model of the ring on one machine, and what follows from it for larger ones.

Every hold passes each stage once. On one machine the stages share its cores, so the CPU is one station at which the
work waits: with c cores at utilisation u the wait stretches the work by 1 / (1 - u^c), which is exact for two cores
that share time and Poisson arrivals (M/M/2), and close enough for others. Beside its CPU a hold waits for what costs no
CPU: three fsyncs, the broker's confirm, wake-ups. That part is measured once, at a low rate, and does not grow.

A stage that is one process has one core at most, however many there are: it saturates at 1 / its CPU.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple


class Stage(NamedTuple):
    """``cpu_us``: of one hold. ``at_once``: how many cores it can use in one instance; 0 means as many as there are."""

    name: str
    cpu_us: float
    at_once: int = 1


class Model(NamedTuple):
    """``waits_ms``: what a hold waits beside its CPU, from the request to the portal's commit."""

    stages: Sequence[Stage]
    waits_ms: float

    @property
    def cpu_us(self) -> float:
        return sum(stage.cpu_us for stage in self.stages)

    def most_per_s(self, cores: int) -> float:
        """What one machine carries: its cores, or its narrowest process."""
        narrowest = min(1e6 * stage.at_once / stage.cpu_us for stage in self.stages if stage.at_once)
        return min(1e6 * cores / self.cpu_us, narrowest)

    def response_ms(self, rate_per_s: float, cores: int) -> float:
        """The mean time of a hold from the request to the portal's commit. Raises ValueError beyond saturation."""
        used = rate_per_s * self.cpu_us / 1e6 / cores
        if used >= 1:
            raise ValueError(f"{rate_per_s:g}/s need {used:.0%} of {cores} cores")
        return self.waits_ms + self.cpu_us / 1000 / (1 - used**cores)

    def cores(self, rate_per_s: float, at_most: float) -> list[tuple[str, float, int]]:
        """For a rate: each stage, the cores it keeps busy, and how many instances it takes at that utilisation."""
        busy = [(stage, rate_per_s * stage.cpu_us / 1e6) for stage in self.stages]
        return [(stage.name, cores, max(1, ceil(cores / at_most / (stage.at_once or 1)))) for stage, cores in busy]


def calibrated(stages: Sequence[Stage], measured_ms: float, rate_per_s: float, cores: int) -> Model:
    """The model whose mean at ``rate_per_s`` is what was measured there."""
    bare = Model(stages, 0.0)
    return Model(stages, max(0.0, measured_ms - bare.response_ms(rate_per_s, cores)))
