"""One transaction of an inbox: position, dedup, effects, parking, watermark. All of it commits, or nothing does."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import Arrival, ConnT, Dialect, InboxState, ParkedRow, Pool
from ticketflow.delivery.items import BEHIND, Item, Verdict, parked
from ticketflow.events import Envelope
from ticketflow.feed import Code, Hello, Refusal
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import bind_correlation, get_logger

Handler = Callable[[ConnT, Envelope], Awaitable[None]]

log = get_logger("inbox")


@dataclass(frozen=True, slots=True)
class Failed:
    """The transaction was rolled back for a reason of an event. ``seq`` names it; None when it cannot be told."""

    seq: int | None
    error: Exception


@dataclass(slots=True)
class Tally:
    """What one transaction did, to be told once it has committed."""

    applied: int = 0
    duplicates: int = 0
    ignored: list[Item] = field(default_factory=list)
    parked: list[ParkedRow] = field(default_factory=list)


@dataclass(slots=True)
class _Progress:
    """How far a transaction got, for whoever has to explain its exception."""

    applying: int | None = None  # seq of the event whose handler runs
    complete: bool = False  # nothing is left but COMMIT


class Application(Generic[ConnT]):
    """Applies events of one stream. ``handlers`` by kind; they use the connection given, and never commit."""

    def __init__(
        self, pool: Pool[ConnT], dialect: Dialect[ConnT], stream: str, handlers: Mapping[str, Handler[ConnT]]
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._stream = stream
        self._handlers = dict(handlers)

    async def run(self, hello: Hello, items: Sequence[Item], verdict: Verdict | None = None) -> int | Failed:
        """Apply ``items``, which follow each other, in one transaction; the durable watermark after it.

        With ``verdict`` the first item is parked instead of applied. Raises Refusal (gap, fenced, another epoch),
        Unavailable, Retryable, Indefinite: nothing of these is an event's fault.
        """
        progress, tally = _Progress(), Tally()
        try:
            async with self._pool.transaction() as conn:
                state = await self._position(conn, hello)
                fresh = [item for item in items if item.seq > state.watermark]
                if not fresh:
                    return state.watermark
                if fresh[0].seq > state.watermark + 1:
                    raise Refusal(Code.GAP, f"the watermark is {state.watermark}; {fresh[0].seq} does not follow it")
                if fresh[0].seq != items[0].seq:
                    verdict = None  # the event it was meant for is settled: an unknown COMMIT had happened after all
                await self._apply(conn, state, fresh, verdict, progress, tally)
                progress.complete = True
        except (Unavailable, Indefinite, Refusal):
            raise
        except Exception as error:
            if self._dialect.is_store_fault(error):
                raise Unavailable(f"{type(error).__name__}: {error}") from error
            if progress.applying is None and not progress.complete:
                raise  # a bug of ours, or no schema: no event is to blame
            return Failed(progress.applying, error)
        self._tell(tally, fresh[-1].seq)
        return fresh[-1].seq

    async def _position(self, conn: ConnT, hello: Hello) -> InboxState:
        state = await self._dialect.lock_inbox(conn, self._stream)
        if state is None or state.epoch != hello.epoch:
            raise Refusal(Code.SENDER_BEHIND, f"stream {self._stream} is not in epoch {hello.epoch} here")
        if hello.fence < state.fence:
            raise Refusal(Code.FENCED, f"fence {hello.fence} is older than {state.fence}")
        return state

    async def _apply(
        self,
        conn: ConnT,
        state: InboxState,
        items: Sequence[Item],
        verdict: Verdict | None,
        progress: _Progress,
        tally: Tally,
    ) -> None:
        came = [Arrival(item.envelope.id, item.seq, item.envelope.key) for item in items if item.envelope is not None]
        new = await self._dialect.record(conn, self._stream, came)
        keys = {item.envelope.key for item in items if item.envelope is not None}
        blocked = await self._dialect.parked_keys(conn, self._stream, sorted(keys))
        passed: list[tuple[str | None, int]] = []  # without a dedup key of their own, and no holes for that
        for item in items:
            envelope = item.envelope
            if envelope is None:
                passed.append((None, item.seq))
                tally.parked.append(parked(item, Verdict("undecodable", item.fault, 0)))
            elif envelope.id not in new:
                passed.append((envelope.id, item.seq))
                tally.duplicates += 1
            else:
                new.discard(envelope.id)  # the same event twice in one batch
                if verdict is not None and item is items[0]:
                    blocked.add(envelope.key)
                    tally.parked.append(parked(item, verdict))
                elif envelope.key in blocked:
                    tally.parked.append(parked(item, BEHIND))
                else:
                    await self._effect(conn, item, envelope, progress, tally)
        if passed:
            first_time = await self._dialect.pass_over(conn, self._stream, state.epoch, passed)
            tally.parked = [row for row in tally.parked if row.event_id is not None or row.seq in first_time]
        if tally.parked:
            await self._dialect.park(conn, self._stream, state.epoch, tally.parked)
        if not await self._dialect.advance_inbox(conn, self._stream, state.watermark, items[-1].seq):
            raise Retryable(f"stream {self._stream}: the watermark moved under its lock")

    async def _effect(self, conn: ConnT, item: Item, envelope: Envelope, progress: _Progress, tally: Tally) -> None:
        handler = self._handlers.get(envelope.kind)
        if handler is None:
            tally.ignored.append(item)
            return
        progress.applying = item.seq
        with bind_correlation(envelope.correlation_id, envelope.traceparent):
            await handler(conn, envelope)
        progress.applying = None
        tally.applied += 1

    def _tell(self, tally: Tally, watermark: int) -> None:
        stream = self._stream
        metrics.WATERMARK.labels(stream).set(watermark)
        metrics.BATCHES.labels(stream).inc()
        metrics.APPLIED.labels(stream).inc(tally.applied)
        metrics.DUPLICATES.labels(stream).inc(tally.duplicates)
        metrics.IGNORED.labels(stream).inc(len(tally.ignored))
        for item in tally.ignored:
            assert item.envelope is not None
            with bind_correlation(item.envelope.correlation_id, item.envelope.traceparent):
                log.info("event_ignored", stream=stream, seq=item.seq, kind=item.envelope.kind, id=item.envelope.id)
        for row in tally.parked:
            metrics.PARKED.labels(stream, row.reason).inc()
            level = log.info if row.reason == "behind" else log.error  # one cry for help a key is enough
            level(
                "event_parked",
                stream=stream,
                seq=row.seq,
                event_id=row.event_id,
                key=row.key,
                kind=row.kind,
                reason=row.reason,
                detail=row.detail,
                attempts=row.attempts,
            )
