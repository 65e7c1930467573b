"""What happens again and again, logged at once and then not more often than a person can read."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

QUIET_S = 10.0  # between two lines about the same
REMEMBERED_MAX = 256  # keys; the one that was told first is forgotten


class Seldom:
    """``clock`` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()  # when, and how many since

    def due(self, key: Hashable) -> int | None:
        """How many like it went untold since the last line, when this one is to be told; None when it is not."""
        now = self._clock()
        told_at, untold = self._told.get(key, (now - QUIET_S, 0))
        if now - told_at < QUIET_S:
            self._told[key] = told_at, untold + 1
            return None
        self._told[key] = now, 0
        self._told.move_to_end(key)
        while len(self._told) > REMEMBERED_MAX:
            self._told.popitem(last=False)
        return untold
