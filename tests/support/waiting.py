"""Waiting for something to become true."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

# How long something may take that takes milliseconds on an idle machine. Where a time is promised the test says so.
WAIT_S = 20.0


@overload
async def wait_until(
    condition: Callable[[], Awaitable[T]], timeout_s: float = WAIT_S, *, interval_s: float = 0.02
) -> T: ...
@overload
async def wait_until(condition: Callable[[], T], timeout_s: float = WAIT_S, *, interval_s: float = 0.02) -> T: ...
async def wait_until(condition: Callable[[], Any], timeout_s: float = WAIT_S, *, interval_s: float = 0.02) -> Any:
    """The first truthy value of ``condition`` (sync or async), asked again and again.

    After ``timeout_s`` the last failure is raised again, be it the condition's own exception or an AssertionError that
    shows the last value: a test's report then says what was wrong, not merely that time was up.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        failure: BaseException
        try:
            value = condition()
            found = await value if inspect.isawaitable(value) else value
            if found:
                return found
            failure = AssertionError(f"not true within {timeout_s} s; the last value was {found!r}")
        except Exception as error:
            failure = error
        if time.monotonic() >= deadline:
            raise failure
        await asyncio.sleep(interval_s)
