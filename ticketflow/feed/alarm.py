"""A timer for deadlines that are nearly always met, as those of acks are: set for each, and hardly ever made anew."""

import asyncio
from collections.abc import Callable

_SOONEST_S = 0.001  # uvloop's clock counts in these: what is due sooner would turn round until it is


class Alarm:
    """Calls ``ring`` at the earliest deadline that was set since it rang last, and then no more until it is set again.

    One that is set later than the one before leaves the timer as it is: whoever is woken looks at his own deadline, and
    sets it again. So a timer is made once in the time that one allows, and not once an event.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # when the timer rings, by the loop's clock

    def set(self, deadline: float) -> None:
        """Ring by ``deadline`` (the loop's clock, s), or before."""
        if self._timer is not None:
            if self._at <= deadline:
                return
            self._timer.cancel()
        self._at = max(deadline, self._loop.time() + _SOONEST_S)
        self._timer = self._loop.call_at(self._at, self._rings)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rings(self) -> None:
        self._timer = None
        self._ring()
