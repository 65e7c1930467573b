"""A bounded pool of connections to one store, whatever the driver.

Laws:
- At most ``size_max`` connections exist, those being opened included; a waiter waits ``acquire_timeout_s`` at most.
- Last in, first out: few connections stay warm, the others age and are dropped.
- Connections are opened by tasks of the pool, not by who waits: a cancelled waiter breaks nothing, and one slow
  handshake holds up nobody else.
- A failed opening backs off, 50 ms to 0.5 s with jitter, and goes on trying while anybody waits or the pool is below
  ``size_min``: once the server is back, so is the pool, within that time. A short outage is waited out; from
  ``acquire_timeout_s`` of outage on, callers are refused at once.
- A connection whose state is in doubt is discarded, never handed on. ``expire`` does that to all of them, since a
  failover kills every connection and not only the one that noticed; ``distrust`` to those that lead the same way.
- A connection whose COMMIT nobody awaits any more keeps its place until the server has answered (``detain``): cut and
  replaced, it would go on waiting at the server beside its successor, and a pool of eight would soon fill a server.
- From where nothing comes any more connections are cut, those in use among them (see vigil.py).
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from ticketflow.runtime import metrics
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.outage import Outage
from ticketflow.runtime.slot import Driver, Place, Slot
from ticketflow.runtime.watch import Watch

C = TypeVar("C")

# One attempt at a time, so that the upper bound is what an outage lasts longer than it must, and no load to speak of.
BACKOFF_S = (0.05, 0.5)
FREE_FOR_READS = 2  # connections that are never detained: while no COMMIT is answered, what is known can still be read
WAITERS_MAX = 2048  # beyond this the store cannot catch up within any caller's deadline

log = get_logger("pool")

_connections = metrics.gauge("pool_connections", "Connections of a pool", ("pool", "state"))
_waiting = metrics.gauge("pool_waiting", "Callers that wait for a connection", ("pool",))


class Pool(Generic[C]):
    def __init__(
        self,
        driver: Driver[C],
        *,
        name: str,
        size_min: int,
        size_max: int,
        acquire_timeout_s: float,
        recycle_s: float,
    ) -> None:
        if not 0 <= size_min <= size_max or size_max < 1:
            raise ValueError(f"pool {name}: sizes {size_min} and {size_max} make no sense")
        self.name = name
        self._driver = driver
        self._size_min = size_min
        self._size_max = size_max
        self._acquire_timeout_s = acquire_timeout_s
        self._recycle_s = recycle_s
        self._idle: list[Slot[C]] = []
        self._used: dict[int, Slot[C]] = {}
        self._detained: dict[int, Slot[C]] = {}
        self._waiters: deque[asyncio.Future[Slot[C]]] = deque()
        self._openers: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._closing = False
        self._outage = Outage(name, acquire_timeout_s)
        self._drained = asyncio.Event()
        self._watch = Watch(name, driver, self._lent, self._cut)
        self._watching: asyncio.Task[None] | None = None
        self._show()

    @property
    def size(self) -> int:
        """Connections that exist, those being opened included."""
        return len(self._idle) + len(self._used) + len(self._detained) + len(self._openers)

    @property
    def stuck(self) -> bool:
        """Whether so many COMMITs go unanswered that another transaction would only join them."""
        return len(self._detained) >= max(1, self._size_max - FREE_FOR_READS)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def in_use(self) -> int:
        return len(self._used)

    def start(self) -> None:
        """Begins to fill the pool and to look after it; never waits."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch.run(), name=f"{self.name}-watch")
        self._top_up()

    async def acquire(self) -> C:
        """A usable connection, to be given back by ``release``. Raises Unavailable."""
        if self._closing:
            raise Unavailable(f"{self.name}: the pool is closed")
        slot = self._pop_idle()
        if slot is None:
            slot = await self._wait()
        else:
            self._lend(slot)
        return slot.connection

    def release(self, connection: C, *, reusable: bool) -> None:
        """Gives a connection back; one that is not ``reusable`` is cut. Never waits, never raises."""
        slot = self._used.pop(id(connection), None)
        if slot is None:
            return  # detained
        if reusable:
            self._watch.heard(slot.place)
        if reusable and not self._closing and self._fresh(slot):
            self._offer(slot)
        else:
            self._driver.discard(connection)
        self._top_up()
        if not self._used:
            self._drained.set()

    def detain(self, connection: C, answer: "asyncio.Future[Any]") -> None:
        """Takes a connection from its user, who has given up: it is kept until ``answer``, then cut. When there are too
        many already it is cut at once, which leaves its COMMIT to the server; no further ones are begun then."""
        slot = self._used.pop(id(connection))
        if self.stuck:
            answer.add_done_callback(_heed)
            self._driver.discard(connection)
        else:
            self._detained[id(connection)] = slot
            answer.add_done_callback(lambda answered: self._let_go(slot, answered))
        if not self._used:
            self._drained.set()

    def distrust(self, connection: C) -> None:
        """``connection``, in use, got no answer to what needs no time: no idle one that leads the same way is used."""
        place = self._used[id(connection)].place
        self._driver.avoid(place.address)
        self._drop_idle(lambda other: other == place)
        self._top_up()

    def expire(self) -> None:
        """None of the present connections is used again once its present user has given it back."""
        self._generation += 1
        self._drop_idle(lambda _place: True)
        self._top_up()

    async def close(self, deadline_s: float) -> None:
        """Refuses new users, waits for the present ones, then cuts whatever is left."""
        self._closing = True
        if self._watching is not None:
            self._watching.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(Unavailable(f"{self.name}: the pool is closing"))
        for opener in self._openers:
            opener.cancel()
        if self._used:
            self._drained.clear()
            try:
                async with asyncio.timeout(deadline_s):
                    await self._drained.wait()
            except TimeoutError:
                log.warning("pool_closed_in_use", pool=self.name, in_use=len(self._used))
        ending = [*self._openers, *([] if self._watching is None else [self._watching])]
        await asyncio.gather(*ending, return_exceptions=True)
        for slot in [*self._idle, *self._used.values(), *self._detained.values()]:
            self._driver.discard(slot.connection)
        self._idle.clear()

    def _lend(self, slot: Slot[C]) -> None:
        slot.lent_at = asyncio.get_running_loop().time()
        self._used[id(slot.connection)] = slot

    def _lent(self) -> Iterator[Slot[C]]:
        yield from self._used.values()
        yield from self._detained.values()

    def _let_go(self, slot: Slot[C], answer: "asyncio.Future[Any]") -> None:
        if _heed(answer):
            self._watch.heard(slot.place)
        del self._detained[id(slot.connection)]
        self._driver.discard(slot.connection)
        self._top_up()

    def _cut(self, lost: Callable[[Place], bool]) -> int:
        """Cuts the connections in such a place; who uses one is told by its driver. How many."""
        cut = [slot for slot in self._lent() if lost(slot.place)]
        for slot in cut:
            self._driver.discard(slot.connection)
        count = len(cut) + self._drop_idle(lost)
        self._top_up()
        return count

    def _drop_idle(self, lost: Callable[[Place], bool]) -> int:
        dropped = [slot for slot in self._idle if lost(slot.place)]
        self._idle = [slot for slot in self._idle if not lost(slot.place)]
        for slot in dropped:
            self._driver.discard(slot.connection)
        return len(dropped)

    def _pop_idle(self) -> Slot[C] | None:
        while self._idle:
            slot = self._idle.pop()
            if self._fresh(slot):
                return slot
            self._driver.discard(slot.connection)
        return None

    def _fresh(self, slot: Slot[C]) -> bool:
        age_s = asyncio.get_running_loop().time() - slot.opened_at
        return slot.generation == self._generation and age_s < self._recycle_s and self._driver.usable(slot.connection)

    async def _wait(self) -> Slot[C]:
        loop = asyncio.get_running_loop()
        if len(self._waiters) >= WAITERS_MAX:
            raise Unavailable(f"{self.name}: {WAITERS_MAX} callers wait for a connection already")
        waiter: asyncio.Future[Slot[C]] = loop.create_future()
        self._waiters.append(waiter)
        self._top_up()
        try:
            if self._outage.long:
                raise self._refusal()
            async with asyncio.timeout(self._acquire_timeout_s):
                return await waiter
        except TimeoutError:
            if waiter.done() and not waiter.cancelled():
                return waiter.result()  # decided in the turn of the loop in which the time ran out
            raise self._refusal() from None
        except BaseException:
            self._take_back(waiter)
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _take_back(self, waiter: "asyncio.Future[Slot[C]]") -> None:
        """A waiter that gives up may have been served in the same turn of the loop: its connection goes to the next."""
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self.release(waiter.result().connection, reusable=True)

    def _refusal(self) -> Unavailable:
        if self._outage.fault is not None:
            return Unavailable(f"{self.name}: {self._outage.fault}")
        return Unavailable(f"{self.name}: all {self._size_max} connections are in use")

    def _offer(self, slot: Slot[C]) -> None:
        """To the longest-waiting caller, else to the idle ones."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._lend(slot)  # from now on: it must be counted before the waiter wakes up
                waiter.set_result(slot)
                return
        self._idle.append(slot)

    def _top_up(self) -> None:
        if self._closing:
            return
        wanted = max(len(self._waiters), self._size_min - len(self._idle) - len(self._used) - len(self._detained))
        if self._outage.on:
            wanted = min(wanted, 1)  # one probe; the others would only add load to a server that starts
        while len(self._openers) < wanted and self.size < self._size_max:
            opener = asyncio.create_task(self._open_one(), name=f"{self.name}-opener")
            self._openers.add(opener)
            opener.add_done_callback(self._opener_done)

    def _opener_done(self, opener: "asyncio.Task[None]") -> None:
        self._openers.discard(opener)
        if not opener.cancelled() and (error := opener.exception()) is not None:
            # A bug, or a refusal for good (wrong password): whoever waits shall see it, and the next caller tries anew.
            # They are told before it is logged: rendering a traceback may take longer than they wait.
            while self._waiters:
                waiter = self._waiters.popleft()
                if not waiter.done():
                    waiter.set_exception(error)
            log.error("pool_open_failed", pool=self.name, exc_info=error)
            return
        self._top_up()

    async def _open_one(self) -> None:
        """Opens one connection, however often that must be tried."""
        loop = asyncio.get_running_loop()
        pause_s = BACKOFF_S[0]
        while True:
            generation = self._generation
            try:
                connection = await self._driver.connect()
            except Unavailable as fault:
                self._note_failure(fault)
                await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter, no secret
                pause_s = min(pause_s * 2, BACKOFF_S[1])
                if len(self._openers) > 1:
                    return  # one probe is enough
                continue
            self._outage.over()
            if (opener := asyncio.current_task()) is not None:
                self._openers.discard(opener)  # in the turn in which the connection begins to count
            self._offer(Slot(connection, self._driver.place(connection), generation, loop.time()))
            return

    def _note_failure(self, fault: Unavailable) -> None:
        self._outage.failed(fault)
        if self._outage.long:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_exception(self._refusal())

    def _show(self) -> None:
        counts: dict[str, Callable[[], int]] = {
            "idle": lambda: len(self._idle),
            "in_use": lambda: len(self._used),
            "detained": lambda: len(self._detained),
            "opening": lambda: len(self._openers),
        }
        for state, count in counts.items():
            _connections.labels(self.name, state).set_function(count)
        _waiting.labels(self.name).set_function(self._waiters.__len__)


def _heed(answer: "asyncio.Future[Any]") -> bool:
    """Whether it came, after all; an exception that nobody else looks at is looked at here."""
    return not answer.cancelled() and answer.exception() is None
