"""An event loop whose time jumps, and processes on it that can be killed or stopped between any two steps.

Laws:
- Nothing ever waits: when no callback is ready, the time becomes that of the next timer.
- What runs, and in which order, depends on nothing but what was scheduled: no thread, socket, signal or address.
- A callback belongs to the process in whose context it was scheduled. That of a killed process never runs, not even its
  ``finally``; that of a stopped one (SIGSTOP) runs late, when the process goes on.
"""

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

UNWIND_STEPS_MAX = 100
STEPS_MAX = 3_000_000  # of one run: beyond this something turns in circles without time passing

_process: contextvars.ContextVar["Process"] = contextvars.ContextVar("process")


class Process:
    """What may be killed or stopped: everything that is scheduled from inside ``context``."""

    def __init__(self, name: str, loop: "SimulatedLoop") -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.held: list[asyncio.Handle] = []  # what would have run while it was stopped
        self.context = contextvars.copy_context()
        self.context.run(_process.set, self)
        self._loop = loop

    @property
    def runs(self) -> bool:
        return self.alive and not self.stopped

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._loop.create_task(coroutine, context=self.context.copy())

    def kill(self) -> None:
        self.alive = False
        self.held.clear()

    def stop(self) -> None:
        self.stopped = True

    def resume(self) -> None:
        self.stopped = False
        self._loop.hand_back(self.held)
        self.held = []


def current_process() -> Process:
    """The process in which the caller runs. Raises LookupError outside of all."""
    return _process.get()


class SimulatedLoop(asyncio.BaseEventLoop):
    """``connect`` answers ``create_connection``; errors of callbacks go to ``on_error``."""

    def __init__(self) -> None:
        super().__init__()
        self.connect: Callable[..., Coroutine[Any, Any, Any]] | None = None
        self.on_error: Callable[[dict[str, Any]], None] = _raise
        self.steps = 0
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_made = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._over = False
        self.set_exception_handler(lambda _loop, context: self.on_error(context))

    def time(self) -> float:
        return self._now

    def hand_back(self, handles: list[asyncio.Handle]) -> None:
        """Have run what was held back."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._over:
            self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_task(self, coroutine: Any, **settings: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        task = super().create_task(coroutine, **settings)
        self._tasks.append(task)  # asyncio itself would forget those that nobody will ever wake again
        return task

    async def create_connection(  # type: ignore[override]
        self, factory: Any, host: Any, port: Any, **_settings: Any
    ) -> Any:
        assert self.connect is not None
        return await self.connect(factory, host, port)

    def end(self) -> None:
        """Unwind what is left of killed processes, without letting any of it act, and close."""
        self._over = True
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _unwind(task.get_coro())
        self._tasks.clear()
        self._timers.clear()
        self.close()

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        timers = self._timers
        if not ready:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not timers:
                raise AssertionError("deadlock: every task waits, and for nothing that will happen")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        self.steps += len(ready)
        if self.steps > STEPS_MAX:
            raise AssertionError("it turns in circles")
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(_process)
            if process is None or process.runs:
                handle._run()
            elif process.alive:
                process.held.append(handle)

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        pass  # it is passed over when its time comes

    def _asyncgen_finalizer_hook(self, _generator: Any) -> None:
        pass  # one of a killed process: nobody cleans up after it


def run(story: Coroutine[Any, Any, T]) -> T:
    """Run ``story`` in simulated time."""
    loop = SimulatedLoop()
    try:
        return loop.run_until_complete(story)
    finally:
        loop.end()


def now() -> float:
    """The simulated time, seconds."""
    return asyncio.get_running_loop().time()


def _unwind(coroutine: Any) -> None:
    """Close it, however often it awaits something more in its ``finally``."""
    for _ in range(UNWIND_STEPS_MAX):
        try:
            coroutine.close()
        except RuntimeError:  # "coroutine ignored GeneratorExit"
            continue
        except Exception:
            return
        return


def _raise(context: dict[str, Any]) -> None:
    raise AssertionError(f"{context.get('message')}: {context.get('exception')!r}")
