"""Ticks at an even pace: the kernel wakes the loop for each, and between two of them nobody runs.

Timers of uvloop count in milliseconds. Who sleeps until 0.6 ms from now turns round and round until it is time, on a
core that somebody else may be waiting for; who sleeps a whole one wakes up with one event due or with two. (Half a
millisecond of p99 in the one case and a tenth in the other, also where nothing but a number goes back and forth.)
Python has timerfd from 3.13 on; until then it is called in the C library.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import AsyncGenerator

_TICK_BYTES = 8  # how many ticks there were since the last read, as the kernel says it
_NS = 1_000_000_000
_libc = ctypes.CDLL(None, use_errno=True)


class _Times(ctypes.Structure):
    """`struct itimerspec`: the time between two ticks, then the time until the first."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns"))


async def ticks(per_second: float) -> AsyncGenerator[int, None]:
    """How many ticks came since the last time, 1 or more, without end: the first of them ``1 / per_second`` from now.

    For whoever takes long over one, as they are not forgotten: the next answer counts them all. Close it
    (contextlib.aclosing): it holds a file of the kernel's.
    """
    timer = _timer(1 / per_second)
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(timer, came.set)
    try:
        while True:
            await came.wait()
            came.clear()
            try:
                count = int.from_bytes(os.read(timer, _TICK_BYTES), "little")
            except BlockingIOError:  # read already, in the turn of the loop that told of it
                continue
            yield count
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _timer(every_s: float) -> int:
    timer: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    seconds, ns = divmod(round(every_s * _NS), _NS)
    times = _Times(seconds, ns, seconds, ns)
    if timer < 0 or _libc.timerfd_settime(timer, 0, ctypes.byref(times), None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return timer
