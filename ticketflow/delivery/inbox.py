"""The receiving end of a stream: a feed Receiver that applies events exactly once in effect.

Laws:
- The effect, its dedup key and the watermark are one transaction; the ack is the watermark after its COMMIT.
- Duplicates are dropped by event_id, never by seq alone: a sender may send a known event under another seq.
- A gap is refused. What lies at or below the watermark has been applied, and is passed over.
- A fault of the store is nobody's poison: it is waited out here, then given up to the sender's retry, never parked.
- A fault of an event parks that event, in the transaction that moves the watermark over it; later events of its key
  wait behind it, others flow.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic

from ticketflow.delivery import jitter, metrics
from ticketflow.delivery.application import Application, Failed, is_barrier
from ticketflow.delivery.dialect import ConnT, Dialect, Pool
from ticketflow.delivery.effects import Handler
from ticketflow.delivery.greeting import Greeting
from ticketflow.delivery.items import Item, Verdict, items_of, verdict_on
from ticketflow.delivery.lanes import lane_of
from ticketflow.feed import Backoff, Code, Hello, Peer, Position, Refusal
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import get_logger

ATTEMPTS_MAX = 3  # single attempts at an effect that raises, before it is parked
BATCHES_FAILED_MAX = 3  # of one apply; after so many its events go one by one, as they would cost less from the start
ATTEMPT_PAUSE_S = (0.02, 0.1)  # between them: long enough for a passing conflict, short enough for those behind it
PATIENCE_S = 60.0  # a restart of the store is waited out here, so that no storm of reconnections greets it

STORE_RETRY_S = (0.05, 0.5)  # its pool refuses at once while the store is away: what comes after it must not wait long

log = get_logger("inbox")


class Inbox(Generic[ConnT]):
    """Applies the events of ``stream``, in as many lanes as its sender splits it into; ``handlers`` by kind. See
    feed.Receiver for the contract of the methods.

    A handler gets the connection and the envelope, writes its effect in that transaction, and returns. It raises
    Poison for an event that can never be applied; whatever else it raises is tried ``attempts_max`` times. One that is
    ``Batched`` gets many events at once, and one by one when that raises.
    ``committed`` is called after each COMMIT, for those who have work from the effects: an outbox's ``notify``, say.
    """

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: Dialect[ConnT],
        *,
        stream: str,
        handlers: Mapping[str, Handler[ConnT]],
        committed: Callable[[], None] | None = None,
        attempts_max: int = ATTEMPTS_MAX,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = stream
        self._pool = pool
        self._dialect = dialect
        self._greeting = Greeting(pool, dialect)
        self._application = Application(pool, dialect, stream, handlers)
        self._committed = committed
        self._attempts_max = attempts_max
        self._patience_s = patience_s
        self._clock = clock

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        """Where we stand. A sender with an older fencing token than one we have seen is refused."""
        if lane_of(self.stream, hello.stream) is None:
            raise self._refusal(Code.STREAM_UNKNOWN, f"stream {hello.stream} is not received here")
        try:
            state = await self._greeting.meet(hello)
        except Refusal as refusal:
            metrics.REFUSED.labels(hello.stream, refusal.code).inc()
            raise
        metrics.WATERMARK.labels(hello.stream).set(state.watermark)
        if state.epoch != hello.epoch or state.watermark > hello.last_seq:
            log.error(
                "sender_behind",
                stream=hello.stream,
                sender=hello.sender,
                epoch=state.epoch,
                watermark=state.watermark,
                sender_epoch=hello.epoch,
                sender_last_seq=hello.last_seq,
            )
        return Position(state.epoch, state.watermark)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        """Apply events in order; the durable watermark after them.

        Raises Refusal (gap, fenced, sender_behind), or Unavailable or Indefinite when the store stays away for longer
        than our patience: the session ends, and the sender sends again.
        """
        pending = items_of(first_seq, bodies)
        watermark = 0
        size, attempts, batches_failed, singly = _to_barrier(pending), 0, 0, False
        verdict: Verdict | None = None
        while pending:
            outcome = await self._patiently(hello, pending[:size], verdict, singly)
            if isinstance(outcome, int):
                watermark = outcome
                if self._committed is not None:
                    self._committed()
                pending = pending[size:]
                size, attempts, verdict = _to_barrier(pending), 0, None
                singly = batches_failed >= BATCHES_FAILED_MAX
            elif size > 1 and outcome.seq is None and not singly:
                # One of those that went to their handler together: the same events once more, one by one.
                batches_failed, singly = batches_failed + 1, True
                metrics.FALLBACKS.labels(hello.stream).inc()
                log.info("batch_singly", stream=hello.stream, events=size, error=repr(outcome.error))
            elif size > 1:
                # Everything before the culprit once more, as a batch of its own; then the culprit alone.
                size, singly = _before(pending, outcome) or 1, batches_failed >= BATCHES_FAILED_MAX
                log.info("batch_split", stream=hello.stream, seq=outcome.seq, error=repr(outcome.error))
            else:
                attempts += 1
                verdict = verdict_on(outcome.error, attempts, self._attempts_max)
                log.warning(
                    "effect_failed", stream=hello.stream, seq=pending[0].seq, attempt=attempts, exc_info=outcome.error
                )
                if verdict is None:
                    await asyncio.sleep(jitter.rng.uniform(*ATTEMPT_PAUSE_S))
        return watermark

    async def _patiently(
        self, hello: Hello, items: Sequence[Item], verdict: Verdict | None, singly: bool
    ) -> int | Failed:
        """One transaction, repeated while the store is at fault and patience lasts."""
        until = self._clock() + self._patience_s
        backoff = Backoff(*STORE_RETRY_S, rng=jitter.rng)
        waiting = False
        while True:
            try:
                return await self._application.run(hello, items, verdict, singly=singly)
            except Refusal as refusal:
                metrics.REFUSED.labels(hello.stream, refusal.code).inc()
                raise
            except (Unavailable, Indefinite) as fault:
                metrics.INBOX_RETRIES.labels(hello.stream, type(fault).__name__).inc()
                if self._clock() >= until:
                    raise
                if not waiting and not isinstance(fault, Retryable):
                    waiting = True
                    log.warning("inbox_waits_for_store", stream=hello.stream, error=str(fault))
            await asyncio.sleep(backoff.next())

    def _refusal(self, code: Code, reason: str) -> Refusal:
        metrics.REFUSED.labels(self.stream, code).inc()
        return Refusal(code, reason)


def _before(pending: Sequence[Item], failed: Failed) -> int:
    """How many of ``pending`` come before the event that failed; 0 when that is not known."""
    return 0 if failed.seq is None else failed.seq - pending[0].seq


def _to_barrier(pending: Sequence[Item]) -> int:
    """How many of ``pending`` make one transaction: a barrier begins one, so that what is before it is not refused."""
    for index, item in enumerate(pending):
        if index and is_barrier(item):
            return index
    return len(pending)
