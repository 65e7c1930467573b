"""What a request costs, in CPU time of everything that takes part: a figure that a busy machine does not change much.

Sides that run in few processes get less of a busy machine than those in many, so that there a rate says little.
"""

import os
from statistics import median

from bench.cpu import cpu_s


class Costs:
    """Of several sides, by name. All servers and clients are children of this process."""

    def __init__(self) -> None:
        self._us: dict[str, list[float]] = {}
        self._began_s = 0.0

    def begin(self) -> None:
        self._began_s = _now_s()

    def end(self, side: str, requests: int) -> None:
        self._us.setdefault(side, []).append(1e6 * (_now_s() - self._began_s) / requests)

    def notes(self) -> dict[str, float]:
        """The medians, without the rounds that warmed up."""
        return {f"CPU a request, {side}, us": median(costs[1:]) for side, costs in self._us.items()}


def _now_s() -> float:
    return cpu_s({"all": os.getpid()})["all"]
