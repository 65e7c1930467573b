"""Events sent at a given pace, and how long each took to be acknowledged."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from statistics import quantiles
from typing import Any

from bench.ticks import ticks


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
        async with aclosing(ticks(per_second)) as due:
            async for many in due:
                for _ in range(min(many, count - sent)):
                    self.last_seq += 1
                    sent += 1
                    self._settled.clear()
                    self._open.append((self.last_seq, time.perf_counter()))
                    await send(self.last_seq)
                if sent == count:
                    break
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
