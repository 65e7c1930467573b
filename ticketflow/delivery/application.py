"""One transaction of an inbox: position, dedup, effects, parking, watermark. All of it commits, or nothing does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import Arrival, ConnT, Dialect, InboxState, ParkedRow, Pool
from ticketflow.delivery.effects import NOTHING, Batched, Handler, Prepared, beside, prepared, together
from ticketflow.delivery.items import BEHIND, Item, Verdict, parked
from ticketflow.delivery.lanes_barrier import KIND as BARRIER
from ticketflow.delivery.lanes_barrier import missing, requires_of
from ticketflow.feed import Code, Hello, Refusal
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import bind_correlation, get_logger

BARRIER_RETRY_S = 0.5  # hint to a lane that waits for another

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
    ran: bool = False  # a handler has run: it may have spoilt the transaction without saying so
    complete: bool = False  # nothing is left but COMMIT


class Application(Generic[ConnT]):
    """Applies events of one stream and of its lanes: each has its own position, while what is parked stands under the
    name of the whole, ``family``, because a key may change its lane. ``handlers`` by kind; they use the connection
    given, and never commit."""

    def __init__(
        self, pool: Pool[ConnT], dialect: Dialect[ConnT], family: str, handlers: Mapping[str, Handler[ConnT]]
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._family = family
        self._handlers = dict(handlers)
        self._prepares = any(isinstance(each, Batched) and each.prepare is not None for each in handlers.values())

    async def run(
        self, hello: Hello, items: Sequence[Item], verdict: Verdict | None = None, *, singly: bool = False
    ) -> int | Failed:
        """Apply ``items``, which follow each other, in one transaction; the durable watermark after it.

        With ``verdict`` the first item is parked instead of applied. ``singly``: one by one, so that a failure names
        its event; else many at once where their handler can. A barrier may only be the first item. Raises Refusal (gap,
        fenced, another epoch, a barrier that has to wait), Unavailable, Retryable, Indefinite: nothing of these is an
        event's fault.
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
                if is_barrier(fresh[0]) and verdict is None:
                    progress.applying = fresh[0].seq
                    await self._wait_for_lanes(conn, hello.stream, fresh[0])
                    progress.applying = None
                await self._apply(conn, hello.stream, state, fresh, verdict, singly, progress, tally)
                progress.complete = True
        except (Unavailable, Indefinite, Refusal):
            raise
        except Exception as error:
            if self._dialect.is_store_fault(error):
                raise Unavailable(f"{type(error).__name__}: {error}") from error
            if progress.applying is None and not progress.complete and not progress.ran:
                raise  # a bug of ours, or no schema: no event is to blame
            return Failed(progress.applying, error)
        self._tell(hello.stream, tally, fresh[-1].seq)
        return fresh[-1].seq

    async def _position(self, conn: ConnT, hello: Hello) -> InboxState:
        state = await self._dialect.lock_inbox(conn, hello.stream)
        if state is None or state.epoch != hello.epoch:
            raise Refusal(Code.SENDER_BEHIND, f"stream {hello.stream} is not in epoch {hello.epoch} here")
        if hello.fence < state.fence:
            raise Refusal(Code.FENCED, f"fence {hello.fence} is older than {state.fence}")
        return state

    async def _wait_for_lanes(self, conn: ConnT, stream: str, item: Item) -> None:
        """Refuse the barrier ``item`` while another lane is behind what it requires: that one was sent this far before,
        so that this store has lost it, and its sender goes back as soon as it asks where we stand."""
        assert item.envelope is not None
        requires = requires_of(item.envelope)
        behind = missing(requires, await self._dialect.watermarks(conn, sorted(requires)))
        if behind:
            metrics.BARRIER_WAITS.labels(stream).inc()
            other, (wanted, there) = sorted(behind.items())[0]
            raise Refusal(
                Code.UNAVAILABLE, f"{item.seq} waits for {wanted} of {other}, which stands at {there}", BARRIER_RETRY_S
            )

    async def _apply(
        self,
        conn: ConnT,
        stream: str,
        state: InboxState,
        items: Sequence[Item],
        verdict: Verdict | None,
        singly: bool,
        progress: _Progress,
        tally: Tally,
    ) -> None:
        came = [Arrival(item.envelope.id, item.seq, item.envelope.key) for item in items if item.envelope is not None]
        new, ready = await self._record(conn, stream, came, items)
        keys = {item.envelope.key for item in items if item.envelope is not None}
        blocked = await self._dialect.parked_keys(conn, self._family, sorted(keys))
        passed: list[tuple[str | None, int]] = []  # without a dedup key of their own, and no holes for that
        due: dict[str, Item] = {}  # by dedup key
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
                elif envelope.kind in self._handlers:
                    due[envelope.id] = item
                elif envelope.kind != BARRIER:
                    tally.ignored.append(item)
        await self._effects(conn, due, ready, singly, progress)
        tally.applied = len(due)
        if passed:
            first_time = await self._dialect.pass_over(conn, stream, state.epoch, passed)
            tally.parked = [row for row in tally.parked if row.event_id is not None or row.seq in first_time]
        if tally.parked:
            await self._dialect.park(conn, self._family, state.epoch, tally.parked)
        if not await self._dialect.advance_inbox(conn, stream, state.watermark, items[-1].seq):
            raise Retryable(f"stream {stream}: the watermark moved under its lock")

    async def _record(
        self, conn: ConnT, stream: str, came: Sequence[Arrival], items: Sequence[Item]
    ) -> tuple[set[str], Prepared]:
        """Which events are new, and what their handlers need not make of them any more."""
        recording = self._dialect.record(conn, stream, came)
        if len(items) == 1 or not self._prepares:
            return await recording, NOTHING
        envelopes = [item.envelope for item in items if item.envelope is not None]
        return await beside(recording, lambda: prepared(envelopes, self._handlers))

    async def _effects(
        self, conn: ConnT, due: Mapping[str, Item], ready: Prepared, singly: bool, progress: _Progress
    ) -> None:
        envelopes = [item.envelope for item in due.values() if item.envelope is not None]
        groups = [[envelope] for envelope in envelopes] if singly else together(envelopes, self._handlers)
        for group in groups:
            handler = self._handlers[group[0].kind]
            progress.ran = True
            if len(group) > 1:
                assert isinstance(handler, Batched)
                await handler.many(conn, group, ready)
                continue
            envelope = group[0]
            progress.applying = due[envelope.id].seq
            with bind_correlation(envelope.correlation_id, envelope.traceparent):
                await handler(conn, envelope)
            progress.applying = None

    def _tell(self, stream: str, tally: Tally, watermark: int) -> None:
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


def is_barrier(item: Item) -> bool:
    """Whether it is delivery's own event between two numbers of lanes: see lanes_barrier.py."""
    return item.envelope is not None and item.envelope.kind == BARRIER
