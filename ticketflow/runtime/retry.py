"""Running a whole transaction again when the store chose it as a victim."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ticketflow.runtime.errors import Retryable

T = TypeVar("T")

BACKOFF_S = (0.005, 0.2)  # deadlocks dissolve as soon as the other transaction has ended


async def retrying(
    attempt: Callable[[], Awaitable[T]], *, attempts: int = 5, on: tuple[type[BaseException], ...] = (Retryable,)
) -> T:
    """The result of ``attempt``, which is called ``attempts`` times at most; the last error passes."""
    pause_s = BACKOFF_S[0]
    for _ in range(attempts - 1):
        try:
            return await attempt()
        except on:
            await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311 - jitter, no secret
            pause_s = min(pause_s * 2, BACKOFF_S[1])
    return await attempt()
