"""What many callers want done in the store at the same moment is done in one transaction.

Laws:
- One batch is under way; what comes meanwhile makes the next one. A second one begins only beside one that takes long.
- A batch waits for nobody: what it cannot do at once, and everything when it fails, is done by each caller alone. A
  caller thus never fails, nor waits, for another one's sake.
- No outcome is guessed: who goes on alone after a COMMIT without an answer is told Indefinite if that fails too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from ticketflow.runtime import metrics
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import get_logger

A = TypeVar("A")
R = TypeVar("R")

BATCH_MAX = 32
SIDE_BY_SIDE = 4  # batches
LONG_S = 0.05  # a transaction takes some milliseconds

SIZES = metrics.counter("billing_gathered_total", "Changes that were done together with others, or alone.", ("how",))

log = get_logger("gathering")


class _Alone(NamedTuple):
    """``unknown``: it may have been done."""

    unknown: bool


class _Asked(NamedTuple, Generic[A, R]):
    what: A
    outcome: "asyncio.Future[R | _Alone]"


class Gathering(Generic[A, R]):
    """``together`` does many in one transaction and gives what came of each, in their order; None for one that it has
    passed over. ``alone`` does one, patiently. ``name_of``: no two of a batch have the same."""

    def __init__(
        self,
        together: Callable[[Sequence[A]], Awaitable[Sequence[R | None]]],
        alone: Callable[[A], Awaitable[R]],
        name_of: Callable[[A], Hashable],
    ) -> None:
        self._together = together
        self._alone = alone
        self._name_of = name_of
        self._waiting: list[_Asked[A, R]] = []
        self._batches: set[asyncio.Task[None]] = set()

    async def do(self, what: A) -> R:
        """Raises what ``alone`` raises, and Unavailable."""
        loop = asyncio.get_running_loop()
        asked = _Asked[A, R](what, loop.create_future())
        self._waiting.append(asked)
        if not self._batches:
            self._begin()
        elif len(self._waiting) == 1:
            loop.call_later(LONG_S, self._begin_beside, asked)
        try:
            outcome = await asked.outcome
        finally:
            if asked in self._waiting:
                self._waiting.remove(asked)
        if not isinstance(outcome, _Alone):
            return outcome
        try:
            return await self._alone(what)
        except Unavailable as fault:
            if outcome.unknown:
                raise Indefinite(f"a batch had no answer to its COMMIT; then: {fault}") from fault
            raise

    def _begin(self) -> None:
        batch = asyncio.create_task(self._run(), name="gathering")
        self._batches.add(batch)
        batch.add_done_callback(self._batches.discard)

    def _begin_beside(self, asked: _Asked[A, R]) -> None:
        if asked in self._waiting and len(self._batches) < SIDE_BY_SIDE:
            self._begin()

    async def _run(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                results = await self._together([one.what for one in batch])
            except Indefinite:
                self._tell(batch, [_Alone(unknown=True)] * len(batch))
            except Retryable:
                self._tell(batch, [_Alone(unknown=False)] * len(batch))
            except Unavailable as fault:
                for one in batch:
                    if not one.outcome.done():
                        one.outcome.set_exception(fault)
            except Exception as error:
                log.info("batch_alone", changes=len(batch), error=repr(error))
                self._tell(batch, [_Alone(unknown=False)] * len(batch))
            else:
                self._tell(batch, [_Alone(unknown=False) if result is None else result for result in results])

    def _next(self) -> list[_Asked[A, R]]:
        """As many as go together, in the order in which they came."""
        batch: dict[Hashable, _Asked[A, R]] = {}
        left = []
        for one in self._waiting:
            if len(batch) < BATCH_MAX and self._name_of(one.what) not in batch:
                batch[self._name_of(one.what)] = one
            else:
                left.append(one)
        self._waiting = left
        return list(batch.values())

    def _tell(self, batch: Sequence[_Asked[A, R]], outcomes: Sequence[R | _Alone]) -> None:
        for one, outcome in zip(batch, outcomes, strict=True):
            SIZES.labels("alone" if isinstance(outcome, _Alone) or len(batch) == 1 else "together").inc()
            if not one.outcome.done():
                one.outcome.set_result(outcome)
