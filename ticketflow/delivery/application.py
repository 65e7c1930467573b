"""One transaction of an inbox: position, dedup, effects, parking, watermark. All of it commits, or nothing does.

Laws:
- The position is locked before anything else is asked.
- Events are taken at first for what they nearly always are: they follow the watermark, and are new. So dedup keys are
  recorded in the packet that locks the position. Where they are not, nothing of that stays: see ``Dialect.take``.
- What a handler leaves to be carried out with the next statement is carried out before the next handler begins.
"""

from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

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

T = TypeVar("T")

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


class _NotAsTaken(Exception):
    """What was recorded at once should not have been: all of it is rolled back, and done again step by step."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """How a transaction stands before anything has an effect. ``items``: those above the watermark, none when all is
    applied; ``new``: ids of those of their events that are recorded now; ``blocked``: keys that have events parked."""

    state: InboxState
    items: Sequence[Item]
    verdict: Verdict | None
    new: set[str]
    blocked: set[str]
    ready: Prepared


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
        if verdict is None and all(item.envelope is not None for item in items) and not is_barrier(items[0]):
            with suppress(_NotAsTaken):
                return await self._run(hello, items, None, singly, at_once=True)
        return await self._run(hello, items, verdict, singly, at_once=False)

    async def _run(
        self, hello: Hello, items: Sequence[Item], verdict: Verdict | None, singly: bool, *, at_once: bool
    ) -> int | Failed:
        progress, tally = _Progress(), Tally()
        try:
            async with self._pool.transaction() as conn:
                begun, ready = await self._at_once(conn, hello, items) if at_once else (None, None)
                if begun is None:
                    begun = await self._step_by_step(conn, hello, items, verdict, ready, progress)
                if not begun.items:
                    return begun.state.watermark
                await self._apply(conn, hello.stream, begun, singly, progress, tally)
                progress.complete = True
        except (Unavailable, Indefinite, Refusal, _NotAsTaken):
            raise
        except Exception as error:
            if self._dialect.is_store_fault(error):
                raise Unavailable(f"{type(error).__name__}: {error}") from error
            if progress.applying is None and not progress.complete and not progress.ran:
                raise  # a bug of ours, or no schema: no event is to blame
            return Failed(progress.applying, error)
        self._tell(hello.stream, tally, items[-1].seq)
        return items[-1].seq

    async def _at_once(self, conn: ConnT, hello: Hello, items: Sequence[Item]) -> tuple[_Begun | None, Prepared]:
        """None: one of them may be known, and nothing is recorded. Raises _NotAsTaken."""
        taking = self._dialect.take(conn, hello.stream, self._family, _arrivals(items))
        taken, ready = await self._beside(taking, items)
        if taken is None:
            return None, ready
        state = _standing(taken.state, hello)
        if items[0].seq != state.watermark + 1:
            raise _NotAsTaken
        return _Begun(state, items, None, taken.new, taken.blocked, ready), ready

    async def _step_by_step(
        self,
        conn: ConnT,
        hello: Hello,
        items: Sequence[Item],
        verdict: Verdict | None,
        ready: Prepared | None,
        progress: _Progress,
    ) -> _Begun:
        state = await self._position(conn, hello)
        fresh = [item for item in items if item.seq > state.watermark]
        if not fresh:
            return _Begun(state, fresh, None, set(), set(), NOTHING)
        if fresh[0].seq > state.watermark + 1:
            raise Refusal(Code.GAP, f"the watermark is {state.watermark}; {fresh[0].seq} does not follow it")
        if fresh[0].seq != items[0].seq:
            verdict = None  # the event it was meant for is settled: an unknown COMMIT had happened after all
        if is_barrier(fresh[0]) and verdict is None:
            progress.applying = fresh[0].seq
            await self._wait_for_lanes(conn, hello.stream, fresh[0])
            progress.applying = None
        came = _arrivals(fresh)
        recording = self._dialect.record(conn, hello.stream, came)
        if ready is None:
            new, ready = await self._beside(recording, fresh)
        else:
            new = await recording
        blocked = await self._dialect.parked_keys(conn, self._family, sorted({one.key for one in came}))
        return _Begun(state, fresh, verdict, new, blocked, ready)

    async def _beside(self, asked: Coroutine[Any, Any, T], items: Sequence[Item]) -> tuple[T, Prepared]:
        """What the store answers, and what the handlers need not make of ``items`` any more."""
        if len(items) == 1 or not self._prepares:
            return await asked, NOTHING
        envelopes = [item.envelope for item in items if item.envelope is not None]
        return await beside(asked, lambda: prepared(envelopes, self._handlers))

    async def _position(self, conn: ConnT, hello: Hello) -> InboxState:
        return _standing(await self._dialect.lock_inbox(conn, hello.stream), hello)

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
        begun: _Begun,
        singly: bool,
        progress: _Progress,
        tally: Tally,
    ) -> None:
        state, items, new, blocked = begun.state, begun.items, begun.new, begun.blocked
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
                if begun.verdict is not None and item is items[0]:
                    blocked.add(envelope.key)
                    tally.parked.append(parked(item, begun.verdict))
                elif envelope.key in blocked:
                    tally.parked.append(parked(item, BEHIND))
                elif envelope.kind in self._handlers:
                    due[envelope.id] = item
                elif envelope.kind != BARRIER:
                    tally.ignored.append(item)
        await self._effects(conn, due, begun.ready, singly, progress)
        tally.applied = len(due)
        if passed:
            first_time = await self._dialect.pass_over(conn, stream, state.epoch, passed)
            tally.parked = [row for row in tally.parked if row.event_id is not None or row.seq in first_time]
        if tally.parked:
            await self._dialect.park(conn, self._family, state.epoch, tally.parked)
        if not await self._dialect.advance_inbox(conn, stream, state.watermark, items[-1].seq):
            raise Retryable(f"stream {stream}: the watermark moved under its lock")

    async def _effects(
        self, conn: ConnT, due: Mapping[str, Item], ready: Prepared, singly: bool, progress: _Progress
    ) -> None:
        envelopes = [item.envelope for item in due.values() if item.envelope is not None]
        groups = [[envelope] for envelope in envelopes] if singly else together(envelopes, self._handlers)
        for number, group in enumerate(groups):
            handler = self._handlers[group[0].kind]
            progress.ran = True
            if len(group) > 1:
                assert isinstance(handler, Batched)
                await handler.many(conn, group, ready)
            else:
                envelope = group[0]
                progress.applying = due[envelope.id].seq
                with bind_correlation(envelope.correlation_id, envelope.traceparent):
                    await handler(conn, envelope)
            if singly or number < len(groups) - 1:  # what the last of a batch leaves goes with what follows here
                await self._dialect.settle(conn)
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


def _standing(state: InboxState | None, hello: Hello) -> InboxState:
    """The position, if ``hello`` may go on from there."""
    if state is None or state.epoch != hello.epoch:
        raise Refusal(Code.SENDER_BEHIND, f"stream {hello.stream} is not in epoch {hello.epoch} here")
    if hello.fence < state.fence:
        raise Refusal(Code.FENCED, f"fence {hello.fence} is older than {state.fence}")
    return state


def _arrivals(items: Sequence[Item]) -> list[Arrival]:
    return [Arrival(item.envelope.id, item.seq, item.envelope.key) for item in items if item.envelope is not None]
