"""Snapshots in memory, made anew when they are too old for who asks: one at a time for each key, however many ask.

Laws:
- Age counts from the moment before the store was asked, so that nothing is ever older than it seems.
- A reader gets what is at most ``staleness_s`` old, or waits for what is made now. Who wants it fresh waits for one
  that is begun after he came. Between two of one key lie ``gap_s`` at least, and ten times what the last one took.
- While the store does not answer, the last snapshot is given for ``stale_max_s``; then the fault is. Who wants it fresh
  is told the fault at once.
- Kept are ``keys_max`` at most, of ``bytes_max`` in all; who was asked for longest ago goes first. The newest stays,
  whatever its size. What does not exist is not remembered.
- A reader that goes away ends nothing that others wait for.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from reservation.metrics import MAP_BYTES, MAP_READS
from ticketflow.runtime.errors import Unavailable

PAUSE_FACTOR = 10  # a refresh that takes 20 ms is made every 200 ms at most, whoever insists: a tenth of the time
RETRY_S = 0.25  # after one that failed
FAILING_S = 1.0  # so long after a failure another is to be expected
WAIT_S = 1.0  # with an older snapshot at hand; less than the front waits in its first try
FIRST_WAIT_S = 8.0  # without one; less than a request may take

STORE_FAULTS = (Unavailable, OSError, TimeoutError)


class Kept(Protocol):
    @property
    def bytes_held(self) -> int: ...


T = TypeVar("T", bound=Kept)


class Limits(NamedTuple):
    staleness_s: float = 1.0
    stale_max_s: float = 30.0
    gap_s: float = 0.1
    keys_max: int = 1024
    bytes_max: int = 64 * 1024 * 1024


class _Entry(Generic[T]):
    """``begun``: of the refresh that made ``value``. ``changed``: what was begun before then does not count."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.begun = self.changed = self.failed = -math.inf
        self.took_s = 0.0
        self.bytes_held = 0
        self.fault: Exception | None = None
        self.refreshing: asyncio.Task[None] | None = None


class Snapshots(Generic[T]):
    """``refresh(key, before)`` asks the store; ``before`` is the last snapshot, if there is one."""

    def __init__(self, name: str, refresh: Callable[[str, T | None], Awaitable[T]], limits: Limits) -> None:
        self.name = name
        self._refresh = refresh
        self._limits = limits
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()
        self._bytes = 0
        MAP_BYTES.labels(name).set_function(lambda: self._bytes)

    @property
    def bytes_held(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    async def read(self, key: str, *, fresh: bool = False) -> T:
        """Raises what ``refresh`` raises, Unavailable."""
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        came = _now()
        wanted = came if fresh else max(came - self._limits.staleness_s, entry.changed)
        how = "memory"
        while entry.value is None or entry.begun < wanted:
            how = "fresh" if fresh else "waited"
            if (fault := await self._next(key, entry, came, fresh)) is not None:
                return self._in_need(entry, fault, fresh)
        MAP_READS.labels(self.name, how).inc()
        return entry.value

    def outdate(self, key: str) -> None:
        """It was changed by this replica, whose next readers are shown the change."""
        if (entry := self._entries.get(key)) is not None:
            entry.changed = _now()

    async def _next(self, key: str, entry: _Entry[T], came: float, fresh: bool) -> Exception | None:
        """Waits for one refresh to end, or for as long as there is patience; what went wrong, if anything did."""
        serves = not fresh and self._serves(entry)
        if entry.refreshing is None:
            if entry.fault is not None and _now() < entry.failed + RETRY_S:
                return entry.fault
            entry.refreshing = asyncio.create_task(self._attempt(key, entry), name=f"{self.name}-refresh")
        if entry.fault is not None and serves and _now() < entry.failed + FAILING_S:
            return entry.fault  # nobody waits for this one who need not
        refreshing, before = entry.refreshing, entry.begun
        patience_s = WAIT_S if serves else FIRST_WAIT_S
        await asyncio.wait({refreshing}, timeout=max(0.0, came + patience_s - _now()))
        if not refreshing.done() or refreshing.cancelled():
            return Unavailable(f"{self.name}: the store did not answer in time")
        return entry.fault if entry.begun == before else None

    async def _attempt(self, key: str, entry: _Entry[T]) -> None:
        """What went wrong is left in the entry, for all who wait."""
        try:
            pause_s = max(self._limits.gap_s, min(PAUSE_FACTOR * entry.took_s, self._limits.staleness_s))
            await asyncio.sleep(max(0.0, entry.begun + pause_s - _now()))
            begun = _now()
            value = await self._refresh(key, entry.value)
            entry.value, entry.begun, entry.took_s, entry.fault = value, begun, _now() - begun, None
        except Exception as fault:  # each reader decides what it means for him
            entry.failed, entry.fault = _now(), fault
        finally:
            entry.refreshing = None
            self._keep(key, entry)

    def _keep(self, key: str, entry: _Entry[T]) -> None:
        if self._entries.get(key) is not entry:
            return  # it had to go meanwhile
        if entry.value is None or not isinstance(entry.fault, (*STORE_FAULTS, type(None))):
            self._drop(key)
            return
        self._bytes += entry.value.bytes_held - entry.bytes_held
        entry.bytes_held = entry.value.bytes_held
        oldest = iter(list(self._entries))
        while len(self._entries) > self._limits.keys_max or self._bytes > self._limits.bytes_max:
            if (other := next(oldest, key)) == key:
                return
            if self._entries[other].refreshing is None:
                self._drop(other)

    def _drop(self, key: str) -> None:
        self._bytes -= self._entries.pop(key).bytes_held

    def _in_need(self, entry: _Entry[T], fault: Exception, fresh: bool) -> T:
        if fresh or not isinstance(fault, STORE_FAULTS) or entry.value is None or not self._serves(entry):
            MAP_READS.labels(self.name, "refused").inc()
            raise fault
        MAP_READS.labels(self.name, "stale").inc()
        return entry.value

    def _serves(self, entry: _Entry[T]) -> bool:
        return entry.value is not None and _now() - entry.begun <= self._limits.stale_max_s


def _now() -> float:
    return asyncio.get_running_loop().time()
