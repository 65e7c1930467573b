"""The life of a process: build, run, drain, end.

A service starts whatever its neighbours do. It ends on SIGTERM or SIGINT: /readyz turns to 503, then what was
registered is undone in reverse order, each step with a deadline: a drain hook is called, a side task is cancelled and
awaited. So a task that uses a pool ends before the pool is closed, if the pool was there first. A second signal cuts
the drain short. A side task that ends by itself ends the service: half a service is worse than none, and the
supervisor starts it afresh.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import IntEnum
from itertools import groupby
from typing import Any, TypeAlias

import uvloop

from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.garbage import look_seldom
from ticketflow.runtime.health import Health
from ticketflow.runtime.log import get_logger

CANCEL_DEADLINE_S = 7.0  # a task that is cancelled in a COMMIT waits for its answer: see commit_timeout_s of the pools

LEAST_S = 0.1

Hook: TypeAlias = Callable[[], Awaitable[object]]

log = get_logger("service")


class Exit(IntEnum):
    """Exit codes; docs and supervisor configuration refer to them."""

    DRAINED = 0  # stopped as asked
    FAILED = 1  # a side task or the start failed: start it again
    SETTINGS = 2  # the settings make no sense: starting again does not help
    ABORTED = 130  # a second signal came while draining


class Service:
    """What ``build`` gets: a place to register what runs and what must be drained."""

    def __init__(self, name: str, instance: str) -> None:
        self.name = name
        self.instance = instance
        self.health = Health()
        self.stopping = asyncio.Event()
        self._failed = False
        self._steps: list[asyncio.Task[None] | tuple[Hook, float]] = []

    def run_task(self, name: str, start: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Runs ``start()`` beside the rest; it must not end by itself. When the service stops it is cancelled before
        the hooks that were registered earlier are called."""
        self._steps.append(asyncio.create_task(self._supervised(name, start), name=name))

    def on_drain(self, hook: Hook, deadline_s: float) -> None:
        """Calls ``hook`` when the service stops, before the hooks and tasks that were registered earlier."""
        self._steps.append((hook, deadline_s))

    def stop(self) -> None:
        """Begins to drain, as SIGTERM does."""
        self.stopping.set()

    @property
    def failed(self) -> bool:
        """Whether it stops because something went wrong."""
        return self._failed

    async def drain(self, deadline_s: float) -> None:
        """Undoes every step, all together within ``deadline_s``; tasks that stand side by side end together."""
        self.health.draining = True
        ends_at = asyncio.get_running_loop().time() + deadline_s
        for are_tasks, group in groupby(reversed(self._steps), key=lambda step: isinstance(step, asyncio.Task)):
            steps = list(group)
            if are_tasks:
                await _cancel([step for step in steps if isinstance(step, asyncio.Task)], _left_s(ends_at))
                continue
            for step in steps:
                assert not isinstance(step, asyncio.Task)
                hook, hook_deadline_s = step
                await _call(hook, min(hook_deadline_s, _left_s(ends_at)))

    async def _supervised(self, name: str, start: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await start()
        except Exception:
            log.exception("task_died", task=name)
        else:
            if self.stopping.is_set():
                return
            log.error("task_ended", task=name)
        self._failed = True
        self.stopping.set()


def run(
    build: Callable[[Service], Awaitable[None]],
    *,
    name: str,
    instance: str,
    drain_deadline_s: float = 10,
    settings_faults: tuple[type[Exception], ...] = (),
) -> int:
    """Runs a service to its end; gives the exit code (see Exit). ``build`` returns when the service serves.

    ``settings_faults``: errors of ``build``, besides SettingsError, by which what the settings name cannot be used.
    """

    async def built(service: Service) -> None:
        try:
            await build(service)
        except settings_faults as error:
            raise SettingsError([str(error)]) from error

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return int(runner.run(_live(built, name, instance, drain_deadline_s)))
    except SettingsError as error:
        for line in error.problems:
            print(f"{name}: {line}", file=sys.stderr)
        return int(Exit.SETTINGS)


async def _live(build: Callable[[Service], Awaitable[None]], name: str, instance: str, drain_deadline_s: float) -> Exit:
    service = Service(name, instance)
    aborted = asyncio.Event()

    def signalled(number: int) -> None:
        log.info("signal", signal=signal.Signals(number).name)
        if service.stopping.is_set():
            aborted.set()
        service.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled, number)
    log.info("starting")
    started = await _built(build, service)
    if started:
        look_seldom()
        log.info("started")
        await service.stopping.wait()
    log.info("draining")
    service.stop()
    drain = asyncio.create_task(service.drain(drain_deadline_s), name="drain")
    abort = asyncio.create_task(aborted.wait(), name="abort")
    await asyncio.wait({drain, abort}, return_when=asyncio.FIRST_COMPLETED)
    if not drain.done():
        log.warning("aborted")
        sys.stderr.flush()
        os._exit(Exit.ABORTED)  # a second signal means at once; leaving the loop would wait for every task
    abort.cancel()
    drain.result()
    log.info("stopped")
    return Exit.FAILED if service.failed or not started else Exit.DRAINED


async def _built(build: Callable[[Service], Awaitable[None]], service: Service) -> bool:
    """Whether the service was built; a signal meanwhile cancels the building."""
    building = asyncio.ensure_future(build(service))
    stopping = asyncio.create_task(service.stopping.wait())
    await asyncio.wait({building, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not building.done():
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
        return not service.failed
    try:
        building.result()
    except SettingsError:
        raise
    except Exception:
        log.exception("start_failed")
        return False
    return True


def _left_s(ends_at: float) -> float:
    """Even when all time is used up each step has a moment: most need no more."""
    return max(LEAST_S, ends_at - asyncio.get_running_loop().time())


async def _call(hook: Hook, deadline_s: float) -> None:
    try:
        async with asyncio.timeout(deadline_s):
            await hook()
    except TimeoutError:
        log.warning("drain_hook_late", hook=_name_of(hook), deadline_s=round(deadline_s, 3))
    except Exception:
        log.exception("drain_hook_failed", hook=_name_of(hook))


async def _cancel(tasks: Sequence[asyncio.Task[None]], deadline_s: float) -> None:
    for task in tasks:
        task.cancel()
    _done, late = await asyncio.wait(tasks, timeout=min(CANCEL_DEADLINE_S, deadline_s))
    for task in late:
        log.warning("task_would_not_end", task=task.get_name())


def _name_of(hook: Callable[..., object]) -> str:
    return getattr(hook, "__qualname__", repr(hook))
