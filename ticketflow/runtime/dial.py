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
PATIENCE_S_MAX = 4.0
SLOWER_THAN_USUAL = 4


class Patience:
    """How long a login may take: ``least_s``, and longer where logins have lately taken long.

    With a time-out that is fixed, a machine on which logins take a little longer than that would only ever begin them,
    each attempt adding to what makes the next one late.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self.timeout_s = least_s

    def took(self, seconds: float) -> None:
        self.timeout_s = min(max(self._least_s, SLOWER_THAN_USUAL * seconds), PATIENCE_S_MAX)

    def ran_out(self) -> None:
        """No address answered in time."""
        self.timeout_s = max(self._least_s, min(2 * self.timeout_s, PATIENCE_S_MAX))


async def first_to_answer(
    ways: Sequence[W],
    dial: Callable[[W], Awaitable[C]],
    patience: Patience,
    *,
    faults: tuple[type[BaseException], ...],
    discard: Callable[[C], None],
) -> tuple[W, C]:
    """The way that was first to be opened by ``dial``, and what it gave. ``dial`` keeps the deadline of ``patience``.

    Raises Unavailable, which names each way with its fault, when none can be opened. What is opened too late is given
    to ``discard``. An error that is not among ``faults`` passes.
    """
    loop = asyncio.get_running_loop()
    head_start_s = max(HEAD_START_S, patience.timeout_s / SLOWER_THAN_USUAL)  # at least what a login takes just now
    left, failures, in_time = list(ways), list[str](), True
    dialling: dict[asyncio.Task[C], tuple[W, float]] = {}
    try:
        while left or dialling:
            if left:
                way = left.pop(0)
                dialling[asyncio.ensure_future(_dialled(dial, way))] = way, loop.time()
            done, _pending = await asyncio.wait(
                dialling, timeout=head_start_s if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                way, began = dialling.pop(task)
                try:
                    opened = task.result()
                except faults as error:
                    in_time = in_time and not isinstance(error.__cause__ or error, TimeoutError)
                    failures.append(f"{way}: {_reason(error)}")
                else:
                    patience.took(loop.time() - began)
                    return way, opened
        if not in_time:
            patience.ran_out()
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
