"""Parked messages, as people handle them: see ticketflow.delivery.parking, whose commands these are too.

Laws of this file:
- A sale's events may come in any order, so nothing waits behind a parked one, and one that fails again does not keep
  the sale's others from being applied.
- A requeue does what the consumer would do, in one transaction with the row's end and the audit row. The row's lock
  makes two at once take turns; what has been applied meanwhile by another way is known by its dedup key.
- Discarding records the dedup key: the event will not be applied when it comes again.
"""

from collections.abc import AsyncIterator
from contextlib import suppress

from portal import store_parked
from portal.applier import Applier
from portal.understanding import Fact, Ignored, understand
from ticketflow.delivery import Deduplicator, PostgresDialect
from ticketflow.delivery.parking_dialect import ParkedEvent, Wanted
from ticketflow.delivery.parking_shelf import (
    DISCARDED,
    FAILED_AGAIN,
    REHEARSED_MAX,
    REQUEUED,
    NotParked,
    Outcome,
    Result,
    after_failure,
    note_of,
    subject_of,
)
from ticketflow.events.replay import StreamPosition
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.errors import Indefinite, Retryable, RuntimeFault, Unavailable
from ticketflow.runtime.log import bind_correlation
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying


class _Failed(Exception):
    """A message cannot be applied, for its own reason: ``after`` is its row after this attempt."""

    def __init__(self, after: ParkedEvent) -> None:
        super().__init__(after.detail)
        self.after = after


class _Rehearsed(Exception):
    """Ends a rehearsal, so that all of it is rolled back."""


class PortalParking:
    """The shelf over portal_parked. ``stream_out``: where the applier's commands are staged."""

    def __init__(
        self,
        pool: PostgresPool,
        dialect: PostgresDialect,
        applier: Applier,
        deduplicator: Deduplicator[Connection],
        stream_out: str,
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._applier = applier
        self._deduplicator = deduplicator
        self._stream = deduplicator.source
        self._stream_out = stream_out

    async def look(self, wanted: Wanted) -> list[ParkedEvent]:
        async with self._pool.acquire() as conn:
            return await store_parked.look(conn, wanted, stream=self._stream)

    async def find(self, target: str) -> ParkedEvent:
        async with self._pool.acquire() as conn:
            event = await store_parked.find(conn, target, stream=self._stream)
        if event is None:
            raise NotParked(f"nothing is parked under {target!r}")
        return event

    async def requeue(self, event: ParkedEvent, actor: str) -> AsyncIterator[Outcome]:
        for each in await self._all_of(event):
            outcome = await self._requeue_one(each.id, actor)
            if outcome is not None:
                yield outcome

    async def rehearse(self, event: ParkedEvent) -> list[Outcome]:
        outcomes = []
        for each in (await self._all_of(event))[:REHEARSED_MAX]:
            try:
                await retrying(lambda parked_id=each.id: self._take(parked_id, None))  # type: ignore[misc]
            except _Rehearsed as rehearsed:
                outcomes.append(rehearsed.args[0])
            except _Failed as failed:
                outcomes.append(Outcome(failed.after, "failed", failed.after.detail))
        return outcomes

    async def discard(self, event: ParkedEvent, reason: str, actor: str) -> None:
        try:
            await retrying(lambda: self._discard(event, reason, actor))
        except Indefinite:
            with suppress(NotParked):  # then the COMMIT that was not answered has happened
                await retrying(lambda: self._discard(event, reason, actor))

    async def _all_of(self, event: ParkedEvent) -> list[ParkedEvent]:
        """Those of its sale; bytes that are no event stand alone."""
        return [event] if not event.key else await self.look(Wanted(key=event.key, every=True, rows_max=10_000))

    async def _requeue_one(self, parked_id: str, actor: str) -> Outcome | None:
        try:
            outcome = await retrying(lambda: self._take(parked_id, actor), on=(Retryable, Indefinite))
        except _Failed as failed:
            after = failed.after
            return await retrying(lambda: self._note_failure(after, actor))
        if outcome is not None and outcome.result == "applied":
            with suppress(Unavailable, Indefinite):  # the relay's poll is behind it
                async with self._pool.acquire() as conn:
                    await self._dialect.announce(conn, self._stream_out)
        return outcome

    async def _take(self, parked_id: str, actor: str | None) -> Outcome | None:
        """None: it is gone. Without an ``actor`` it is a rehearsal: raises _Rehearsed with the outcome."""
        async with self._pool.transaction() as conn:
            event = await store_parked.locked(conn, parked_id, stream=self._stream)
            if event is None:
                return None
            try:
                outcome = await self._apply(conn, event)
            except Exception as error:
                if isinstance(error, RuntimeFault | _Failed):
                    raise
                if self._dialect.is_store_fault(error):
                    raise Unavailable(f"{type(error).__name__}: {error}") from error
                raise _Failed(after_failure(event, error)) from error
            if actor is None:
                raise _Rehearsed(outcome)
            await store_parked.unpark(conn, parked_id)
            note = note_of(event, result=outcome.result)
            await self._dialect.audit(conn, actor, REQUEUED, subject_of(event), note)
        return outcome

    async def _apply(self, conn: Connection, event: ParkedEvent) -> Outcome:
        meaning = understand(Delivery(0, event.kind, {}, event.body, redelivered=True))
        if isinstance(meaning, Ignored | StreamPosition):
            return Outcome(event, "ignored")
        if not isinstance(meaning, Fact):
            after = event._replace(reason=meaning.reason, detail=meaning.detail, attempts=event.attempts + 1)
            raise _Failed(after)
        envelope = meaning.envelope
        event = event._replace(event_id=envelope.id, key=envelope.key, kind=envelope.kind)
        with bind_correlation(envelope.correlation_id, envelope.traceparent):
            fresh = await self._applier.write(conn, {envelope.id: meaning})
        result: Result = "applied" if fresh else "known"
        return Outcome(event, result)

    async def _note_failure(self, after: ParkedEvent, actor: str) -> Outcome | None:
        async with self._pool.transaction() as conn:
            if await store_parked.locked(conn, after.id, stream=self._stream) is None:
                return None
            await store_parked.note(conn, after)
            note = note_of(after, error=after.detail)
            await self._dialect.audit(conn, actor, FAILED_AGAIN, subject_of(after), note)
        return Outcome(after, "failed", after.detail)

    async def _discard(self, event: ParkedEvent, reason: str, actor: str) -> None:
        async with self._pool.transaction() as conn:
            if await store_parked.locked(conn, event.id, stream=self._stream) is None:
                raise NotParked(f"{event.id} is no longer parked")
            if event.event_id is not None:
                await self._deduplicator.first_time(conn, event.event_id)
            await store_parked.unpark(conn, event.id)
            note = note_of(event, because=reason, body=event.body)
            await self._dialect.audit(conn, actor, DISCARDED, subject_of(event), note)
