"""How a worker goes about the rows that are due: a few at a time, and later and later where it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

R = TypeVar("R")

TAKE_PARTS = 4  # a transaction takes a quarter of what may be under way at least, not one row after the other
LOOK_S = 0.05  # while steps are under way: how long what has become due meanwhile may wait
LOOK_GAP_S = 0.02  # between a look that found less than there was room for, and the next
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


async def flowing(
    take: Callable[[int], Awaitable[Sequence[R]]], step: Callable[[R], Awaitable[None]], at_once: int, rows_max: int
) -> int:
    """``step`` for each row that ``take(most)`` gives, ``at_once`` at a time, until it gives none and all have ended,
    or ``rows_max`` were taken: how many. A slow one holds up nobody, nor those that come meanwhile. Who came up empty
    looks again after LOOK_GAP_S, not after each step that ends.

    After a fault none are taken any more; the first is raised when every step begun has ended.
    """
    under_way: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    count, fault, next_look = 0, None, loop.time()
    try:
        while True:
            free = min(at_once - len(under_way), rows_max - count)
            looks = not under_way or loop.time() >= next_look
            rows = await take(free) if looks and fault is None and free * TAKE_PARTS >= at_once else ()
            if looks and len(rows) < free:
                next_look = loop.time() + LOOK_GAP_S
            count += len(rows)
            under_way |= {asyncio.ensure_future(step(row)) for row in rows}
            if not under_way:
                break
            ended, under_way = await asyncio.wait(under_way, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            fault = fault or next((error for task in ended if (error := task.exception())), None)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    if fault is not None:
        raise fault
    return count


def doubled_s(attempts: int, between_s: tuple[float, float]) -> float:
    """How long after so many failed tries the next one comes: from the first bound, doubled up to the second."""
    return min(between_s[0] * 2.0 ** min(attempts, 20), between_s[1])
