"""The sending end's bookkeeping: stamping, acks and rewinds, each a transaction of its own under the lease.

Laws:
- Nothing is written without ``Lease.hold`` in the same transaction.
- seq is gapless: rows get ``last_seq + 1, ...`` in the transaction that moves last_seq, under the stream's lock.
- Only committed rows are stamped, in order of position. A row that commits late gets a later seq; it cannot be lost,
  because nothing is ever read "after position n".
- Nothing is stamped when the stream stands before where this session began: the store was set back under it, and only
  the receiver can tell what it already has.
- Which rows are this lane's is read in the stream's row, under its lock: see lanes_change.py. A barrier that is due is
  stamped before them.
"""

import json
from collections.abc import Awaitable, Callable
from itertools import takewhile
from typing import Generic, NamedTuple, TypeVar

from ticketflow.delivery.dialect import ConnT, Dialect, OutboxRow, Pool, StagedRow, StreamState
from ticketflow.delivery.errors import HistoryMoved, LeaseLost, RewindImpossible
from ticketflow.delivery.lanes import Lane
from ticketflow.delivery.lanes_barrier import barrier_event
from ticketflow.delivery.lanes_gate import Gate
from ticketflow.delivery.lease import Lease
from ticketflow.delivery.resume import Forking, Resume
from ticketflow.events import encode
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.retry import retrying

T = TypeVar("T")

ROWS_MAX = 256  # stamped, or read, at a time: at 64 KiB an event at most 16 MiB in memory


class Stamped(NamedTuple):
    """What one transaction has stamped. ``last_seq``: of the stream after it; a barrier may come before ``rows``."""

    last_seq: int
    rows: list[OutboxRow]


class Ledger(Generic[ConnT]):
    """The outbox and the state of one stream, for the one relay that holds ``lease``; or of one ``lane`` of it."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: Dialect[ConnT],
        stream: str,
        lease: Lease[ConnT],
        lane: Lane | None = None,
    ) -> None:
        self.stream = stream
        self.gate = Gate(pool, dialect, stream)
        self.lanes = 1  # as last seen
        self._lane = lane or Lane(stream, 0)
        self._look = False  # something changed behind our back: the next stamp says what
        self._pool = pool
        self._dialect = dialect
        self._lease = lease
        self._seen: StreamState | None = None  # as of HELLO, or of the last stamp

    async def state(self) -> StreamState:
        """Where this end stands. Raises LeaseLost, Unavailable, Indefinite, as all of these do.

        The lease must be the one that goes with the number of lanes: a store that was set back to before a change has
        another, which somebody else may have by now.
        """

        async def step(conn: ConnT) -> StreamState:
            await self._dialect.ensure_stream(conn, self.stream)
            state = await self._dialect.lock_stream(conn, self.stream)
            if (wanted := self._lane.lease(state.lanes)) != self._lease.name:
                raise LeaseLost(f"{self._lease.name}: with {state.lanes} lanes it takes {wanted}")
            return state

        self._seen = self._noted(await self._under_lease(step))
        return self._seen

    def look_again(self) -> None:
        """The number of lanes may have changed: have the next ``has_unstamped`` say that there is something to do."""
        self._look = True

    async def forks(self) -> list[tuple[int, int]]:
        """The epochs before the present one, as HELLO tells them: (epoch, after_seq)."""
        return await self._under_lease(lambda conn: self._dialect.stream_forks(conn, self.stream))

    async def fork(self, forking: Forking, seen: StreamState) -> int | None:
        """End the epoch after what is left of it, and begin another: the new one. None when the stream no longer is
        where it was ``seen``. A COMMIT that was not answered needs nothing more: the next session sees how it went."""

        async def step(conn: ConnT) -> int | None:
            state = await self._dialect.lock_stream(conn, self.stream)
            if (state.epoch, state.last_seq) != (seen.epoch, seen.last_seq):
                return None
            left = min(state.epoch, forking.epoch)  # the receiver's, where this lane knew nothing of it
            await self._dialect.note_fork(
                conn, self.stream, left, forking.after_seq, forking.watermark, "the receiver had more"
            )
            return await self._dialect.begin_epoch(conn, self.stream, forking.epoch)

        return await self._under_lease(step)

    async def resume(self, resume: Resume) -> None:
        """Note where the receiver stands. Raises RewindImpossible when the outbox cannot serve it from there."""

        async def step(conn: ConnT) -> None:
            state = await self._dialect.lock_stream(conn, self.stream)
            if resume.after_seq < state.last_seq:
                following(
                    resume.after_seq,
                    await self._dialect.read(conn, self.stream, resume.after_seq, resume.after_seq + 1),
                )
            if resume.rewound_from is not None:
                await self._dialect.rewind_stream(conn, self.stream, resume.after_seq)
            else:
                await self._dialect.ack_stream(conn, self.stream, resume.after_seq)

        await self._under_lease(step)

    async def has_unstamped(self) -> bool:
        """Whether committed events wait for their seq."""
        if self._look:
            return True
        slots = self._slots(self.lanes)
        if slots == []:
            return False
        async with self._pool.acquire(plain=True) as conn:
            if slots is None:
                return await self._dialect.has_unstamped(conn, self.stream)
            return await self._dialect.lane_has_unstamped(conn, self._lane.family, slots)

    async def stamp(self, rows_max: int = ROWS_MAX) -> Stamped:
        """Stamp committed rows, and what they are: they need not be read again."""

        async def attempt() -> tuple[StreamState, list[OutboxRow]]:
            async with self._lease.transaction_by(lambda conn: self._at_once(conn, rows_max)) as (conn, (state, made)):
                if made is not None:
                    return state._replace(last_seq=made[-1].seq if made else state.last_seq), made
                self._check(state)
                if self._is_due(state):
                    state = await self._stamp_barrier(conn, state)
                rows = await self._stamp(conn, state, rows_max)
                if rows is None:
                    raise self._moved()
                return state._replace(last_seq=rows[-1].seq if rows else state.last_seq), rows

        self._look = False
        state, rows = await retrying(attempt)
        self._noted(state)
        if self._seen is not None:
            self._seen = state
        return Stamped(state.last_seq, rows)

    async def _at_once(self, conn: ConnT, rows_max: int) -> tuple[StreamState, list[OutboxRow] | None]:
        """As what was seen last, with the rows; or, if that is not how the stream stands, its state, locked."""
        seen = self._seen
        if seen is not None and self._slots(seen.lanes) is None and not seen.barrier_due:
            rows = await self._dialect.stamp_at_once(
                conn, self._lease.name, self._lease.check(), self.stream, seen, rows_max
            )
            if rows is not None:
                return seen, rows
        return await self._hold_stream(conn), None

    async def _hold_stream(self, conn: ConnT) -> StreamState:
        state = await self._dialect.hold_stream(conn, self._lease.name, self._lease.check(), self.stream)
        if state is None:
            await self._lease.hold(conn)  # says so when it is this
            state = await self._dialect.lock_stream(conn, self.stream)
        return state

    def _moved(self) -> Retryable:
        return Retryable(f"stream {self.stream}: last_seq moved under its lock")

    def _check(self, state: StreamState) -> None:
        seen = self._seen
        if seen is not None and (state.epoch != seen.epoch or state.last_seq < seen.last_seq):
            raise HistoryMoved(
                f"stream {self.stream}: at {state.last_seq} of epoch {state.epoch}, and was at {seen.last_seq} of"
                f" epoch {seen.epoch}"
            )

    async def read(self, after_seq: int, last_seq: int) -> list[OutboxRow]:
        """The next stamped rows after ``after_seq``, at least one unless that is ``last_seq`` already, without a gap.

        Raises RewindImpossible when they are not there.
        """
        if after_seq >= last_seq:
            return []
        async with self._pool.acquire(plain=True) as conn:
            upto_seq = min(last_seq, after_seq + ROWS_MAX)
            return following(after_seq, await self._dialect.read(conn, self.stream, after_seq, upto_seq))

    async def mark_acked(self, seq: int) -> None:
        """The receiver has everything up to ``seq``."""

        async def step(conn: ConnT) -> None:
            await self._dialect.ack_stream(conn, self.stream, seq)

        await self._under_lease(step)

    def _is_due(self, state: StreamState) -> bool:
        """Whether a barrier has to be stamped before anything else; never in a lane that is retired."""
        return bool(state.barrier_due) and self._slots(state.lanes) != []

    async def _stamp_barrier(self, conn: ConnT, state: StreamState) -> StreamState:
        barrier, seq = barrier_event(json.loads(state.barrier_due)), state.last_seq + 1
        row = StagedRow(barrier.id, barrier.key, barrier.kind, encode(barrier))
        await self._dialect.stage_barrier(conn, self.stream, seq, row, state.barrier_due)
        if not await self._dialect.advance_stream(conn, self.stream, state.last_seq, seq):
            raise self._moved()
        return state._replace(last_seq=seq, barrier_seq=seq, barrier_due="")

    async def _stamp(self, conn: ConnT, state: StreamState, rows_max: int) -> list[OutboxRow] | None:
        slots = self._slots(state.lanes)
        if slots is None:
            return await self._dialect.stamp(conn, self.stream, state.last_seq, rows_max)
        if not slots:
            return []
        return await self._dialect.stamp_lane(conn, self._lane.family, self.stream, slots, state.last_seq, rows_max)

    def _slots(self, lanes: int) -> list[int] | None:
        """The slots of this lane; None for all, which need no list; none when it is retired."""
        return None if lanes == 1 and self._lane.number == 0 else self._lane.slots(lanes)

    def _noted(self, state: StreamState) -> StreamState:
        self.lanes, self.gate.newest_seq = state.lanes, state.barrier_seq
        self._look = self._look or self._is_due(state)
        return state

    async def _under_lease(self, step: Callable[[ConnT], Awaitable[T]]) -> T:
        """``step`` in a transaction that the lease covers; again when the store chose it as a victim."""

        async def attempt() -> T:
            async with self._lease.transaction() as conn:
                return await step(conn)

        return await retrying(attempt)


def following(after_seq: int, rows: list[OutboxRow]) -> list[OutboxRow]:
    """As many of ``rows`` as follow ``after_seq`` without a gap, at least one. Raises RewindImpossible.

    What comes before a gap is sent all the same: it may be just what the receiver lost.
    """
    if not rows:
        raise RewindImpossible(f"the event after {after_seq} is wanted, and none is kept")
    if rows[0].seq != after_seq + 1:
        raise RewindImpossible(f"event {after_seq + 1} is wanted, the next that is kept is {rows[0].seq}")
    return [row for _, row in takewhile(lambda pair: pair[0] == pair[1].seq, enumerate(rows, after_seq + 1))]
