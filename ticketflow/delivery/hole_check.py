"""Counting what has passed, in the background, and filling what is missing.

Laws:
- A range is counted once when it has passed, and again every day; one scan of an index, without a lock. Only a range
  whose count is wrong is looked at under the lock of its stream.
- A hole in the inbox is filled by replay: the watermark goes back to just before it, and the sender sends again from
  there; what is known is dropped. When the watermark is back where it was, each hole is filled, or given up for good.
- No hole is tried twice, and none that is older than what a sender keeps: a stream must not stand still for one.
- A hole in the outbox cannot be filled: it is only told. It matters to a receiver that has lost history.
- What was purged is no hole (floor_seq), nor what a person has settled.
"""

from collections.abc import Callable
from typing import Generic

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import ConnT, Dialect, Pool
from ticketflow.delivery.dialect_history import Replay, Side, Span, What
from ticketflow.delivery.holes import missing, within
from ticketflow.delivery.retention import RETENTION_S
from ticketflow.runtime.log import get_logger

RANGE_SEQS = 10_000  # some milliseconds
IDLE_S = 5.0  # for the services' loops: a range is counted this long after it has passed
RECOUNT_EVERY_S = 24 * 3600.0
NO_REPLAY = Replay(0, -1, 0)

log = get_logger("holes")


class HoleCheck(Generic[ConnT]):
    """Both ends of every stream that ``pool``'s store has. ``rewound`` is called with a stream whose watermark was set
    back, so that its session ends now and not at its next event: a feed server's ``renew``."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: Dialect[ConnT],
        *,
        retention_s: float = RETENTION_S,
        recount_every_s: float = RECOUNT_EVERY_S,
        range_seqs: int = RANGE_SEQS,
        rewound: Callable[[str], None] | None = None,
    ) -> None:
        self._pool = pool
        self._dialect = dialect
        self._retention_s = retention_s
        self._recount_every_s = recount_every_s
        self._range_seqs = range_seqs
        self._rewound = rewound
        self._told: set[tuple[str, What]] = set()

    async def run_once(self) -> int:
        """One range of each side of each stream; how many were full, so that more may follow at once."""
        async with self._pool.acquire(plain=True) as conn:
            await self._dialect.ensure_checks(conn)
            spans = await self._dialect.spans(conn)
            unresolved = await self._dialect.unresolved(conn)
        for stream, what in self._told | unresolved.keys():
            metrics.UNRESOLVED.labels(stream, what).set(unresolved.get((stream, what), 0))
        self._told |= unresolved.keys()
        return sum([await self._look(span) for span in spans])

    async def _look(self, span: Span) -> int:
        if span.side == "in" and 0 < span.resume_seq <= span.upto_seq:
            await self._settle(span)
        if span.recount_due:
            async with self._pool.transaction() as conn:
                await self._dialect.recount(conn, span.side, span.stream, self._recount_every_s)
            return 1
        if span.checked_seq >= span.upto_seq:
            return 0  # nothing has passed since
        async with self._pool.transaction() as conn:
            first = max(span.checked_seq, await self._floor(conn, span.side, span.stream)) + 1
            last = min(span.upto_seq, first + self._range_seqs - 1)
            if last < first:
                return 0
            whole = await self._dialect.count_seqs(conn, span.side, span.stream, first, last) == last - first + 1
            if whole:
                await self._dialect.checked(conn, span.side, span.stream, span.checked_seq, last)
        if not whole:
            await (self._missing_in(span, last) if span.side == "in" else self._missing_out(span, last))
        metrics.COUNTED.labels(span.stream, span.side).inc(last - first + 1)
        return int(last - first + 1 == self._range_seqs)

    async def _floor(self, conn: ConnT, side: Side, stream: str) -> int:
        """Below what is counted. An outbox is kept from its first row on, and from the first unacknowledged event."""
        floor = await self._dialect.floor_seq(conn, side, stream)
        if side == "in":
            return floor
        state = await self._dialect.stream_state(conn, stream)
        first_kept = await self._dialect.first_kept(conn, stream)
        if state is None:
            return floor
        kept_after = state.acked_seq if first_kept is None else min(first_kept - 1, state.acked_seq)
        return max(floor, kept_after)

    async def _missing_in(self, span: Span, last: int) -> None:
        """Under the lock of the inbox: what is missing now is missing."""
        dialect, stream = self._dialect, span.stream
        resume_seq = 0
        async with self._pool.transaction() as conn:
            state = await dialect.lock_inbox(conn, stream)
            assert state is not None
            holes = await self._holes(conn, span, min(last, state.watermark))
            fillable = [
                first for first, _ in holes if await dialect.received_within(conn, stream, first, self._retention_s)
            ]
            for first, end in holes:
                given_up = first not in fillable
                note = "older than what a sender keeps" if given_up else ""
                await dialect.note_hole(conn, "in", stream, state.epoch, first, end, given_up, note)
            if fillable:
                replay = await dialect.replay(conn, stream)
                resume_seq = max(state.watermark, replay.resume_seq)
                await dialect.set_replay(conn, stream, Replay(resume_seq, -1, 0))
                await dialect.lower_inbox(conn, stream, fillable[0] - 1)
            await dialect.checked(conn, "in", stream, span.checked_seq, min(last, state.watermark))
        self._tell(span, holes)
        if fillable:
            metrics.REPLAYS.labels(stream).inc()
            log.warning("hole_replay", stream=stream, after_seq=fillable[0] - 1, watermark=resume_seq)
            if self._rewound is not None:
                self._rewound(stream)

    async def _missing_out(self, span: Span, last: int) -> None:
        async with self._pool.transaction() as conn:
            state = await self._dialect.lock_stream(conn, span.stream)
            holes = await self._holes(conn, span, min(last, state.last_seq))
            for first, end in holes:
                await self._dialect.note_hole(
                    conn, "out", span.stream, state.epoch, first, end, True, "it cannot be sent again"
                )
            await self._dialect.checked(conn, "out", span.stream, span.checked_seq, min(last, state.last_seq))
        self._tell(span, holes)

    async def _holes(self, conn: ConnT, span: Span, last: int) -> list[tuple[int, int]]:
        """Those not known yet. The floor is read last: it may have passed some of what was missing."""
        seqs = await self._dialect.seqs(conn, span.side, span.stream, span.checked_seq + 1, last)
        known = await self._dialect.known_holes(conn, span.side, span.stream, span.checked_seq + 1, last)
        first = max(span.checked_seq, await self._floor(conn, span.side, span.stream)) + 1
        seqs += within(first, last, [(hole.first_seq, hole.last_seq) for hole in known])
        return missing(first, last, seqs)

    async def _settle(self, span: Span) -> None:
        """A replay is over: what it was for is there now, or never will be."""
        dialect, stream = self._dialect, span.stream
        ended: list[tuple[int, int, str]] = []
        async with self._pool.transaction() as conn:
            state = await dialect.lock_inbox(conn, stream)
            replay = await dialect.replay(conn, stream)
            if state is None or not 0 < replay.resume_seq <= state.watermark:
                return
            for hole in await dialect.open_holes(conn, "in", stream):
                length = hole.last_seq - hole.first_seq + 1
                filled = await dialect.count_seqs(conn, "in", stream, hole.first_seq, hole.last_seq) == length
                outcome = "filled" if filled else "given up"
                await dialect.end_hole(conn, hole.position, filled, "" if filled else "a replay did not bring it")
                ended.append((hole.first_seq, hole.last_seq, outcome))
            await dialect.set_replay(conn, stream, NO_REPLAY)
        for first, last, outcome in ended:
            metrics.HOLES_ENDED.labels(stream, outcome).inc()
            level = log.info if outcome == "filled" else log.error
            level("hole_ended", stream=stream, first_seq=first, last_seq=last, outcome=outcome)

    def _tell(self, span: Span, holes: list[tuple[int, int]]) -> None:
        for first, last in holes:
            metrics.HOLES.labels(span.stream, span.side).inc()
            log.error("hole_found", stream=span.stream, side=span.side, first_seq=first, last_seq=last)
