"""How a worker goes about the rows that are due: a few at a time, and later and later where it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

R = TypeVar("R")

AT_ONCE = 4  # each waits for the provider, and needs a connection before and after


async def side_by_side(rows: Sequence[R], step: Callable[[R], Awaitable[None]]) -> None:
    """Each row once, AT_ONCE at a time. Raises the first fault, after every step begun has ended."""
    rest = iter(rows)

    async def one_after_the_other() -> None:
        for row in rest:
            await step(row)

    ways = (one_after_the_other() for _ in range(min(AT_ONCE, len(rows))))
    for outcome in await asyncio.gather(*ways, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def doubled_s(attempts: int, between_s: tuple[float, float]) -> float:
    """How long after so many failed tries the next one comes: from the first bound, doubled up to the second."""
    return min(between_s[0] * 2.0 ** min(attempts, 20), between_s[1])
