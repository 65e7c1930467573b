"""Parked events of an inbox, as people handle them: through the service's own handlers, while its listeners run.

Laws:
- Every transaction here begins by locking the receiving end of the stream, as every transaction of an inbox does. So a
  new event of the key comes either before (and is parked behind) or after (and finds the key free, or not).
- The events of a key leave in the order in which they were parked, each with its effect and its audit row in one
  transaction. A requeue that is killed has done a part of it; the next goes on. Two at once take turns.
- Dedup keys are never touched, but for bytes that had been no event and are one now: theirs is recorded then.
- A fault of the store is nobody's failure: it is raised, and nothing is noted.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Generic

from ticketflow.delivery.dialect import Arrival, ConnT, Pool
from ticketflow.delivery.effects import Handler
from ticketflow.delivery.items import BEHIND, items_of
from ticketflow.delivery.parking_dialect import ParkedEvent, ParkingDialect, Wanted
from ticketflow.delivery.parking_shelf import (
    DISCARDED,
    FAILED_AGAIN,
    REHEARSED_MAX,
    REQUEUED,
    STAYS,
    NotParked,
    Outcome,
    Result,
    after_failure,
    note_of,
    subject_of,
)
from ticketflow.events import BadEvent
from ticketflow.runtime.errors import Indefinite, Retryable, RuntimeFault, Unavailable
from ticketflow.runtime.log import bind_correlation
from ticketflow.runtime.retry import retrying


class _Failed(Exception):
    """The effect of an event raised ``error``, for its own reason."""

    def __init__(self, error: Exception) -> None:
        super().__init__(repr(error))
        self.error = error


class _Rehearsed(Exception):
    """Ends a rehearsal, so that all of it is rolled back."""


class Parking(Generic[ConnT]):
    """The shelf of ``stream``. ``handlers`` as the inbox has them; ``outboxes``: the streams they stage events for."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: ParkingDialect[ConnT],
        *,
        stream: str,
        handlers: Mapping[str, Handler[ConnT]],
        outboxes: Sequence[str] = (),
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._stream = stream
        self._handlers = dict(handlers)
        self._outboxes = tuple(outboxes)

    async def look(self, wanted: Wanted) -> list[ParkedEvent]:
        async with self._pool.acquire() as conn:
            return await self._dialect.list_parked(conn, wanted)

    async def find(self, target: str) -> ParkedEvent:
        async with self._pool.acquire() as conn:
            event = await self._dialect.find_parked(conn, target)
        if event is None:
            raise NotParked(f"nothing is parked under {target!r}")
        return event

    async def requeue(self, event: ParkedEvent, actor: str) -> AsyncIterator[Outcome]:
        self._is_ours(event)
        following = await self._following(event.key) if event.key else event.id
        while following is not None:
            outcome = await self._requeue_one(following, actor)
            if outcome is not None:
                yield outcome
                if outcome.result in STAYS:
                    return
            following = await self._following(event.key) if event.key else None

    async def rehearse(self, event: ParkedEvent) -> list[Outcome]:
        self._is_ours(event)
        return await retrying(lambda: self._rehearse(event))

    async def discard(self, event: ParkedEvent, reason: str, actor: str) -> None:
        try:
            await retrying(lambda: self._discard(event, reason, actor))
        except Indefinite:
            with suppress(NotParked):  # then the COMMIT that was not answered has happened
                await retrying(lambda: self._discard(event, reason, actor))

    def _is_ours(self, event: ParkedEvent) -> None:
        if event.stream != self._stream:
            raise NotParked(f"{event.id} is of stream {event.stream}; only {self._stream} is applied here")

    async def _following(self, key: str) -> str | None:
        async with self._pool.acquire() as conn:
            return await self._dialect.first_parked(conn, self._stream, key)

    async def _requeue_one(self, parked_id: str, actor: str) -> Outcome | None:
        """None: it is gone, or no longer the first: somebody else is at work too."""
        try:
            # After a COMMIT that was not answered the row tells: it is still there, or gone.
            outcome = await retrying(lambda: self._take(parked_id, actor), on=(Retryable, Indefinite))
        except _Failed as failed:
            error = failed.error
            return await retrying(lambda: self._note_failure(parked_id, error, actor))
        if outcome is not None and outcome.result == "applied":
            await self._announce()
        return outcome

    async def _take(self, parked_id: str, actor: str) -> Outcome | None:
        complete = False
        try:
            async with self._pool.transaction() as conn:
                await self._dialect.hold_parked(conn, self._stream)
                event = await self._dialect.parked_event(conn, parked_id)
                if event is None or not await self._is_first(conn, event):
                    return None
                outcome = await self._apply(conn, event)
                note = note_of(outcome.event, result=outcome.result)
                await self._dialect.audit(conn, actor, REQUEUED, subject_of(outcome.event), note)
                complete = True
        except (RuntimeFault, _Failed):
            raise
        except Exception as error:
            if complete and not self._dialect.is_store_fault(error):
                raise _Failed(error) from error  # a constraint that is checked at COMMIT
            raise
        return outcome

    async def _is_first(self, conn: ConnT, event: ParkedEvent) -> bool:
        return not event.key or await self._dialect.first_parked(conn, event.stream, event.key) == event.id

    async def _apply(self, conn: ConnT, event: ParkedEvent) -> Outcome:
        """Its effect, and what becomes of its row. Raises _Failed; faults of the store pass."""
        item = items_of(event.seq or 0, [event.body])[0]
        envelope = item.envelope
        if envelope is None:
            raise _Failed(BadEvent(item.fault))
        if event.event_id is None:  # it was no event to the version that parked it
            first = await self._dialect.first_parked(conn, self._stream, envelope.key)
            event = event._replace(event_id=envelope.id, key=envelope.key, kind=envelope.kind)
            await self._dialect.identify_parked(conn, event.id, envelope.id, envelope.key, envelope.kind)
            if not await self._dialect.record(conn, self._stream, [Arrival(envelope.id, event.seq, envelope.key)]):
                return await self._gone(conn, event, "known")
            if first is not None and int(first) < int(event.id):
                await self._dialect.note_parked(conn, event.id, BEHIND.reason, BEHIND.detail, event.attempts)
                return Outcome(event, "behind", BEHIND.detail)
        handler = self._handlers.get(envelope.kind)
        if handler is None:
            return await self._gone(conn, event, "ignored")
        try:
            with bind_correlation(envelope.correlation_id, envelope.traceparent):
                await handler(conn, envelope)
            return await self._gone(conn, event, "applied")  # refused when the handler spoilt the transaction
        except Exception as error:
            if isinstance(error, RuntimeFault):
                raise
            if self._dialect.is_store_fault(error):
                raise Unavailable(f"{type(error).__name__}: {error}") from error
            raise _Failed(error) from error

    async def _gone(self, conn: ConnT, event: ParkedEvent, result: Result) -> Outcome:
        await self._dialect.unpark(conn, event.id)
        return Outcome(event, result)

    async def _note_failure(self, parked_id: str, error: Exception, actor: str) -> Outcome | None:
        async with self._pool.transaction() as conn:
            await self._dialect.hold_parked(conn, self._stream)
            event = await self._dialect.parked_event(conn, parked_id)
            if event is None:
                return None
            event = after_failure(event, error)
            await self._dialect.note_parked(conn, event.id, event.reason, event.detail, event.attempts)
            note = note_of(event, error=event.detail)
            await self._dialect.audit(conn, actor, FAILED_AGAIN, subject_of(event), note)
        return Outcome(event, "failed", event.detail)

    async def _rehearse(self, event: ParkedEvent) -> list[Outcome]:
        outcomes: list[Outcome] = []
        following: str | None = event.id
        try:
            async with self._pool.transaction() as conn:
                await self._dialect.hold_parked(conn, self._stream)
                if event.key:
                    following = await self._dialect.first_parked(conn, self._stream, event.key)
                while following is not None and len(outcomes) < REHEARSED_MAX:
                    present = await self._dialect.parked_event(conn, following)
                    if present is None:
                        raise NotParked(f"{following} is no longer parked")
                    outcomes.append(Outcome(present, "failed"))  # unless it turns out better
                    outcomes[-1] = await self._apply(conn, present)
                    if not event.key or outcomes[-1].result in STAYS:
                        break
                    following = await self._dialect.first_parked(conn, self._stream, event.key)
                raise _Rehearsed
        except _Rehearsed:
            pass
        except _Failed as failed:
            after = after_failure(outcomes[-1].event, failed.error)
            outcomes[-1] = Outcome(after, "failed", after.detail)
        return outcomes

    async def _discard(self, event: ParkedEvent, reason: str, actor: str) -> None:
        async with self._pool.transaction() as conn:
            await self._dialect.hold_parked(conn, event.stream)
            if not await self._dialect.unpark(conn, event.id):
                raise NotParked(f"{event.id} is no longer parked")
            note = note_of(event, because=reason, body=event.body)
            await self._dialect.audit(conn, actor, DISCARDED, subject_of(event), note)

    async def _announce(self) -> None:
        """Wake the relays of other processes, where the store can tell; their poll is behind it."""
        if self._dialect.announces:
            with suppress(Unavailable, Indefinite):
                async with self._pool.acquire() as conn:
                    for stream in self._outboxes:
                        await self._dialect.announce(conn, stream)
