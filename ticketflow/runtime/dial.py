"""Several ways to one store, tried so that a silent one costs little.

An address that refuses is passed over at once. One that says nothing (a frozen proxy, a container that is gone, a name
server that does not answer) would cost its whole time-out: so the next address is tried beside it, after a head start,
and whichever comes first is taken.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from ticketflow.runtime.errors import Unavailable

W = TypeVar("W")
C = TypeVar("C")

# A login with TLS takes 20 ms, some 200 ms on a machine that is busy: an address that is well should win all the same.
HEAD_START_S = 0.4


async def first_to_answer(
    ways: Sequence[W],
    dial: Callable[[W], Awaitable[C]],
    *,
    faults: tuple[type[BaseException], ...],
    discard: Callable[[C], None],
    head_start_s: float = HEAD_START_S,
) -> tuple[W, C]:
    """The way that was first to be opened by ``dial``, and what it gave. ``dial`` keeps a deadline of its own.

    Raises Unavailable, which names each way with its fault, when none can be opened. What is opened too late is given
    to ``discard``. An error that is not among ``faults`` passes.
    """
    left, failures = list(ways), list[str]()
    dialling: dict[asyncio.Task[C], W] = {}
    try:
        while left or dialling:
            if left:
                way = left.pop(0)
                dialling[asyncio.ensure_future(_dialled(dial, way))] = way
            done, _pending = await asyncio.wait(
                dialling, timeout=head_start_s if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                way = dialling[task]
                try:
                    opened = task.result()
                except faults as error:
                    failures.append(f"{way}: {_reason(error)}")
                    del dialling[task]
                else:
                    del dialling[task]
                    return way, opened
        raise Unavailable("; ".join(failures))
    finally:
        for task in dialling:
            task.add_done_callback(lambda late: _drop(late, discard))
            task.cancel()


async def _dialled(dial: Callable[[W], Awaitable[C]], way: W) -> C:
    return await dial(way)


def _drop(task: "asyncio.Task[C]", discard: Callable[[C], None]) -> None:
    if not task.cancelled() and task.exception() is None:
        with suppress(Exception):
            discard(task.result())


def _reason(error: BaseException) -> str:
    cause = error.__cause__
    return f"{error} ({cause})" if cause is not None and str(cause) else str(error) or "no answer in time"
