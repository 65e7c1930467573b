"""A time-out for one request after another at the price of none: a timer a connection, set again only when it rings.

``asyncio.timeout`` makes a timer for each request, and nearly every one of them is cancelled unused.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadline:
    """One piece of work at a time, in one task."""

    __slots__ = ("_due", "_loop", "_over", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None  # while it works
        self._due = 0.0
        self._over = False  # we have cancelled it

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` gives. It is cancelled after so long; then raises TimeoutError, as ``asyncio.timeout`` does."""
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        self._task, self._over = task, False
        self._due = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due:
            self._set(self._due)
        try:
            return await work
        except asyncio.CancelledError as error:
            if self._over and task.cancelling() <= cancelling + 1:
                raise TimeoutError from error
            raise
        finally:
            self._task = None
            if self._over:
                task.uncancel()

    def stop(self) -> None:
        """No more work comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        self.stop()
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return  # the next work sets it again
        if self._loop.time() < self._due:
            self._set(self._due)
        else:
            self._over = True
            self._task.cancel()
