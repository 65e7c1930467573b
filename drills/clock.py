"""The drill's one clock: seconds since it began."""

import time


class Clock:
    """Monotonic; ``started_at_s`` is the Unix time of second 0."""

    def __init__(self) -> None:
        self.started_at_s = time.time()
        self._zero = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self._zero

    def at(self, unix_s: float) -> float:
        """A moment of the host's clock, in seconds of the drill."""
        return unix_s - self.started_at_s
