"""Which packet goes on when.

Laws of this file:
- No socket and no clock: packets and `now` come in, ids that may go on come out.
- The packets of a flow keep their order, so that TCP sees a slow link and not a reordering one. A packet that draws a
  short delay waits for the one before it.
- The same seed and the same packets give the same fate.
"""

import heapq
import random
from collections.abc import Hashable

FLOWS_MAX = 10_000  # remembered at most; ports are used once, so old flows are forgotten all at once


class Delays:
    """``loss``: the share of packets that never arrives. Delays are uniform in ``delay_s`` +- ``jitter_s``."""

    def __init__(self, delay_s: float, jitter_s: float, loss: float, seed: int) -> None:
        self._delay_s = (max(0.0, delay_s - jitter_s), delay_s + jitter_s)
        self._loss = loss
        self._random = random.Random(seed)  # noqa: S311 - chance, no secret
        self._waiting: list[tuple[float, int, int]] = []
        self._taken = 0
        self._last: dict[Hashable, float] = {}

    def take(self, packet_id: int, flow: Hashable, now: float) -> bool:
        """False: it is lost."""
        if self._random.random() < self._loss:
            return False
        at = max(now + self._random.uniform(*self._delay_s), self._last.get(flow, 0.0))
        if len(self._last) >= FLOWS_MAX:
            self._last.clear()
        self._last[flow] = at
        self._taken += 1  # equal times go in the order of arrival
        heapq.heappush(self._waiting, (at, self._taken, packet_id))
        return True

    def due(self, now: float) -> list[int]:
        """What goes on now, in order."""
        ready = []
        while self._waiting and self._waiting[0][0] <= now:
            ready.append(heapq.heappop(self._waiting)[2])
        return ready

    def all(self) -> list[int]:
        """Everything that waits, in order: the link is quick again."""
        return self.due(float("inf"))

    @property
    def next_at(self) -> float | None:
        """When the next one is due; None when nothing waits."""
        return self._waiting[0][0] if self._waiting else None


def flow_of(head: bytes) -> bytes:
    """What packets of one direction of one connection have in common: protocol, addresses, ports of an IPv4 packet."""
    if len(head) < 20 or head[0] >> 4 != 4:
        return b""
    header = (head[0] & 0x0F) * 4
    return head[9:10] + head[12:20] + head[header : header + 4]
