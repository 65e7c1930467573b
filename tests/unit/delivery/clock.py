"""An event loop whose time jumps: nothing ever waits, and an hour of back-off takes milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Skip(selectors.SelectSelector):
    """Instead of waiting, moves the loop's time forward by the time it would have waited."""

    skipped_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("deadlock: every task waits, and for nothing that will happen")
        self.skipped_s += max(timeout, 0)
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._skip = _Skip()
        super().__init__(self._skip)

    def time(self) -> float:
        return self._skip.skipped_s


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run ``story`` in simulated time."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(story)


def now() -> float:
    """The simulated time, seconds."""
    return asyncio.get_running_loop().time()
