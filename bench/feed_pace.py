"""Events sent at a given pace, and how long each took to be acknowledged."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from statistics import quantiles
from typing import Any

# Timers of uvloop count in milliseconds: who sleeps for less turns round and round until it is time, on a core that the
# receiver may be waiting for. (Half a millisecond of p99, also where nothing but a number went back and forth.)
TICK_S = 0.001


class Pace:
    """``acked`` may be called for many at a time; a cumulative acknowledgement counts for all up to it."""

    def __init__(self, last_seq: int) -> None:
        self.last_seq = last_seq
        self._open: deque[tuple[int, float]] = deque()
        self._seconds: list[float] = []
        self._settled = asyncio.Event()

    async def run(self, send: Callable[[int], Awaitable[None]], seconds: float, per_second: int) -> dict[str, Any]:
        """Every event at its time; those that are due while we are late go out together."""
        began = time.perf_counter()
        count = int(seconds * per_second)
        sent = 0
        while sent < count:
            due = min(int((time.perf_counter() - began) * per_second) + 1, count)
            for _ in range(sent, due):
                self.last_seq += 1
                self._settled.clear()
                self._open.append((self.last_seq, time.perf_counter()))
                await send(self.last_seq)
            sent = due
            await asyncio.sleep(max(began + sent / per_second - time.perf_counter(), TICK_S))
        await self._settled.wait()
        cuts = quantiles(self._seconds, n=100)
        return {
            "events": sent,
            "seconds": time.perf_counter() - began,
            "last_seq": self.last_seq,
            "p50_ms": cuts[49] * 1000,
            "p99_ms": cuts[98] * 1000,
        }

    def acked(self, seq: int) -> None:
        now = time.perf_counter()
        while self._open and self._open[0][0] <= seq:
            self._seconds.append(now - self._open.popleft()[1])
        if not self._open:
            self._settled.set()
