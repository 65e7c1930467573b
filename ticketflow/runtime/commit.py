"""COMMIT, which nobody may cancel half-way, and whose answer is awaited for a bounded time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uninterrupted(step: Coroutine[Any, Any, T]) -> T:
    """Runs ``step`` to its end, whoever cancels meanwhile; the cancellation is raised after it.

    ``step`` must keep a deadline of its own: the caller cannot be rid of it before.
    """
    task = asyncio.ensure_future(step)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    if cancelled is not None:
        # It outranks the step's own error: a worker that is told to stop must not see a fault to be retried instead.
        raise cancelled from (None if task.cancelled() else task.exception())
    return task.result()
