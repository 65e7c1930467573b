"""Row locks of the database in memory: first come, first served; who closes a circle of waits is the victim."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable

from tests.simulation.loop import SimulatedLoop
from tests.simulation.session import Key, Session, Victim

LOCK_TIMEOUT_S = 3.0


class Locks:
    """``end`` rolls a session back, which calls ``release``."""

    def __init__(self, loop: SimulatedLoop, context: contextvars.Context, end: Callable[[Session], None]) -> None:
        self._loop = loop
        self._context = context
        self._end = end
        self._owners: dict[Key, Session] = {}
        self._queues: dict[Key, deque[tuple[Session, asyncio.Future[str]]]] = {}

    async def take(self, session: Session, key: Key) -> None:
        """Raises Victim or Gone."""
        owner = self._owners.get(key)
        if owner is None:
            self._owners[key] = session
            session.held.append(key)
        elif owner is not session:
            if self._in_circle(session, owner):
                self._end(session)
                raise Victim("deadlock")
            await self._wait(session, key)

    def release(self, session: Session) -> None:
        """Its locks go to those who wait."""
        for key in session.held:
            del self._owners[key]
            queue = self._queues.get(key)
            while queue:
                heir, waiter = queue.popleft()
                if heir.ended or waiter.done():
                    continue
                heir.waits_for = None
                heir.held.append(key)
                self._owners[key] = heir
                waiter.set_result("locked")
                break
            else:
                self._queues.pop(key, None)

    def is_held(self, key: Key) -> bool:
        return key in self._owners

    def clear(self) -> None:
        """The server has ended all sessions: nobody waits any more."""
        for queue in self._queues.values():
            for _session, waiter in queue:
                if not waiter.done():
                    waiter.set_result("gone")
        self._queues.clear()

    async def _wait(self, session: Session, key: Key) -> None:
        waiter: asyncio.Future[str] = self._loop.create_future()
        self._queues.setdefault(key, deque()).append((session, waiter))
        session.waits_for = key
        timer = self._loop.call_later(LOCK_TIMEOUT_S, self._too_long, session, waiter, context=self._context)
        outcome = await waiter
        timer.cancel()
        if outcome == "timeout":
            raise Victim("lock wait timeout")
        session.check()

    def _too_long(self, session: Session, waiter: "asyncio.Future[str]") -> None:
        if not waiter.done():
            waiter.set_result("timeout")
            self._end(session)

    def _in_circle(self, session: Session, owner: Session) -> bool:
        at: Session | None = owner
        while at is not None and at.waits_for is not None:
            at = self._owners.get(at.waits_for)
            if at is session:
                return True
        return False
