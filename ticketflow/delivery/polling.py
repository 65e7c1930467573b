"""How often an idle relay looks, behind the wake-ups that tell it of work.

Laws:
- A wake-up is looked after at once; these are the looks for one that was lost: its process died between COMMIT and
  telling, or the way to us is broken.
- A look that finds what nobody told of shows that the wake-ups cannot be relied on: for DISTRUST_S there are as many
  looks as where nobody can tell.
"""

import time
from collections.abc import Callable

FIRST_S = 0.05  # after the last work: more may well follow
SLOWER = 1.5
UNTOLD_S = 0.25  # the longest pause where nobody tells
TOLD_S = 2.0  # and where they do
DISTRUST_S = 60.0


class Polling:
    """``announced``: whether other processes' work is told. One for all sessions of a relay."""

    def __init__(self, *, announced: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._announced = announced
        self._clock = clock
        self._pause_s = FIRST_S
        self._distrusted_until = float("-inf")

    def found(self, *, woken: bool) -> None:
        """A look has found work; ``woken``: after a wake-up."""
        if not woken:
            self._distrusted_until = self._clock() + DISTRUST_S

    def busy(self) -> None:
        """Something was sent."""
        self._pause_s = FIRST_S

    def next_s(self) -> float:
        """How long to wait for a wake-up before the next look."""
        trusted = self._announced and self._clock() >= self._distrusted_until
        pause_s = self._pause_s
        self._pause_s = min(pause_s * SLOWER, TOLD_S if trusted else UNTOLD_S)
        return pause_s
