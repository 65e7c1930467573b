"""Requests that queue up are decided together; one that comes alone is decided at once.

Laws of this file: it knows no SQL and no HTTP.
- Nobody waits for company while he is alone: who finds nobody at work is decided in the same turn of the loop, and with
  him all others of that turn. What comes meanwhile goes together when that flusher is done.
- Where there is company, batches begin ``pace_s`` apart: the next one waits for so long, since two together cost hardly
  more than one, or until ``enough`` are together. Company is who comes in the same batch, or within ``pace_s`` of the
  one before: who comes one by one, each just after the other's answer, would keep a whole machine busy. It is not the
  next request of the same asker (``whose``), who waits for the answers to his own.
- Where batches take long, as on a machine that is full, their beginnings are twice as far apart, and so on up to
  ``pace_s_max``: BATCHES_A_STEP of them would fit. Fewer of them leave more of the machine to all that comes after.
- All replicas keep step: they begin at the full multiples of their pace by the clock of the day, so that what they
  commit comes to the stages behind them at once. Clocks that differ cost them that, and nothing else. So ``enough`` who
  are together in the last quarter before a step wait for it all the same, unless they fill a batch; and a step that
  comes less than half a pace after a batch began is left out. Else two would share what one can do.
- Another flusher begins only when somebody has waited for longer than a batch takes while one is under way, or more
  wait than one batch holds: few large batches cost less than many small ones, and one that is stuck must not hold up
  those behind it.
- A flusher ends only in the turn in which it has seen an empty queue, so that no wake-up can be lost.
- The queue is bounded in number and in time. Who is refused, or has waited for too long, was not begun.
- A caller who gives up while he waits is not begun; later he takes nothing from his neighbours, and cancels nothing.
- A batch runs in no caller's context: what belongs to a request (its correlation) is part of it.
"""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from ticketflow.runtime import metrics
from ticketflow.runtime.errors import Unavailable

Q = TypeVar("Q")
A = TypeVar("A")

BATCHES_A_STEP = 4
NEAR = 0.25  # of a step: who could begin so shortly before one waits for it
FAR = 0.5  # of a step: one that is nearer than this when a batch begins is left out
NEWS = 0.1  # what the newest batch counts for in how long batches take

SIZES = (1, 2, 4, 8, 12, 16, 24, 32)

_size = metrics.histogram("reservation_batch_requests", "Requests decided together", ("batch",), buckets=SIZES)
_waiting = metrics.gauge("reservation_batch_waiting", "Requests that wait for a flusher", ("batch",))


class TooBusy(Unavailable):
    """More wait already than can be decided in time. Nothing was begun."""


class _Waiting(NamedTuple, Generic[Q, A]):
    request: Q
    answer: "asyncio.Future[A]"
    since: float  # by the loop's clock


class Batcher(Generic[Q, A]):
    """``decide`` gives an outcome for each request, in their order; an exception is raised to who asked. What it raises
    itself is raised to all of them. It must keep a deadline of its own.

    ``flushers``: batches under way at a time, at most. ``pace_s``: between the beginnings of two batches of a busy
    time, unless ``enough`` wait (as many as fit if it is None); up to ``pace_s_max`` where they take long (always
    ``pace_s`` if it is None). ``patience_s``: for how long one is left to do it all. ``wait_s``: how long a request may
    wait to be begun. ``whose`` a request is: each is another's unless it is given. ``day``: the clock of the day, s
    since 1970.
    """

    def __init__(
        self,
        name: str,
        decide: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]],
        *,
        flushers: int,
        batch_max: int,
        queue_max: int,
        patience_s: float,
        wait_s: float,
        pace_s: float = 0.0,
        pace_s_max: float | None = None,
        enough: int | None = None,
        whose: Callable[[Q], Hashable] = lambda _request: object(),
        day: Callable[[], float] = time.time,
    ) -> None:
        self._decide = decide
        self._flushers_max = flushers
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._patience_s = patience_s
        self._wait_s = wait_s
        self._pace_s = pace_s
        self._pace_s_max = pace_s_max or pace_s
        self._whose = whose
        self._began = float("-inf")  # the newest batch, by the loop's clock
        self._last_asker: Hashable = None  # whose alone it was
        self._takes_s = 0.0  # a batch, lately
        self._under_way = 0  # batches
        self._enough = enough or batch_max
        self._day = day
        self._worth_it = asyncio.Event()  # to begin a batch: enough wait, or the pace is over
        self._not_before = 0.0  # by the loop's clock: when the next batch may begin
        self._near_s = 0.0  # so shortly before it nobody begins
        self._queue: deque[_Waiting[Q, A]] = deque()
        self._flushers: set[asyncio.Task[None]] = set()
        self._about_to_take = False  # a flusher has been started and has not looked at the queue yet
        self._timer: asyncio.TimerHandle | None = None
        self._size = _size.labels(name)
        _waiting.labels(name).set_function(self._queue.__len__)

    async def ask(self, request: Q, *, again: bool = False) -> A:
        """The outcome of ``request``. ``again``: it has had its turn, and does not queue up behind the others.

        Raises TooBusy, Unavailable, and what ``decide`` says.
        """
        if len(self._queue) >= self._queue_max:
            raise TooBusy(f"{self._queue_max} requests wait already")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        waiting = _Waiting(request, answer, loop.time())
        if again:
            self._queue.appendleft(waiting)
        else:
            self._queue.append(waiting)
        if self._enough_wait(waiting.since):
            self._worth_it.set()
        if not self._flushers or len(self._queue) > self._batch_max:
            self._start_flusher()
        if self._timer is None:
            self._timer = loop.call_later(self._patience_s, self._look_at_the_time)
        return await answer

    async def drain(self) -> None:
        """Returns when all that was asked has been decided."""
        while self._flushers:
            await asyncio.wait(self._flushers)

    def _start_flusher(self) -> None:
        if self._about_to_take or len(self._flushers) >= self._flushers_max:
            return
        self._about_to_take = True
        flusher = asyncio.create_task(self._flush(), name="flusher", context=contextvars.Context())
        self._flushers.add(flusher)
        flusher.add_done_callback(self._flushers.discard)

    async def _flush(self) -> None:
        self._about_to_take = False
        me = asyncio.current_task()
        assert me is not None
        try:
            await self._keep_pace()
            while batch := self._take():
                if len(self._queue) > self._batch_max:
                    self._start_flusher()
                await self._settle(batch)
                await self._keep_pace()
        finally:
            self._flushers.discard(me)  # in this very turn: who asks in the next one starts another

    async def _keep_pace(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        pause_s = self._not_before - now
        if pause_s <= 0 or not self._queue or self._enough_wait(now):
            return
        self._worth_it.clear()
        timer = loop.call_later(pause_s, self._worth_it.set)
        try:
            await self._worth_it.wait()
        finally:
            timer.cancel()

    def _enough_wait(self, now: float) -> bool:
        waiting = len(self._queue)
        return waiting >= self._batch_max or (waiting >= self._enough and self._not_before - now > self._near_s)

    def _in_company(self, batch: Sequence[_Waiting[Q, A]], began: float) -> bool:
        since_s, self._began = began - self._began, began
        before = self._last_asker
        self._last_asker = self._whose(batch[0].request) if len(batch) == 1 else None
        return len(batch) > 1 or (since_s < self._pace_s and self._last_asker != before)

    def _to_next_step_s(self) -> float:
        step_s = self._pace_s
        while 0 < step_s < BATCHES_A_STEP * self._takes_s and 2 * step_s <= self._pace_s_max:
            step_s *= 2
        self._near_s = NEAR * step_s
        if not step_s:
            return 0.0
        left_s = step_s - self._day() % step_s
        return left_s if left_s >= FAR * step_s else left_s + step_s

    def _take(self) -> list[_Waiting[Q, A]]:
        batch: list[_Waiting[Q, A]] = []
        while self._queue and len(batch) < self._batch_max:
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _settle(self, batch: Sequence[_Waiting[Q, A]]) -> None:
        self._size.observe(len(batch))
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._not_before = began + self._to_next_step_s() if self._in_company(batch, began) else 0.0
        self._under_way += 1
        try:
            outcomes: Sequence[A | Exception] = await self._decide([waiting.request for waiting in batch])
            if len(outcomes) != len(batch):
                raise RuntimeError(f"{len(outcomes)} outcomes for {len(batch)} requests")
        except Exception as error:
            outcomes = [error] * len(batch)
        except BaseException:
            for waiting in batch:
                waiting.answer.cancel()
            raise
        finally:
            self._under_way -= 1
            self._takes_s += NEWS * (loop.time() - began - self._takes_s)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.answer.done():
                continue  # its caller has given up
            if isinstance(outcome, Exception):
                waiting.answer.set_exception(outcome)
            else:
                waiting.answer.set_result(outcome)

    def _look_at_the_time(self) -> None:
        """One timer for all, while anybody waits: they wait in the order in which they came."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._queue and (self._queue[0].answer.done() or now - self._queue[0].since >= self._wait_s):
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                waiting.answer.set_exception(Unavailable(f"not begun within {self._wait_s:.1f} s"))
        self._timer = loop.call_later(self._patience_s, self._look_at_the_time) if self._queue else None
        if self._queue and self._under_way and now - self._queue[0].since >= self._patience_s:
            self._start_flusher()
