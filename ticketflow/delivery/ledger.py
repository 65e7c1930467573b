"""The sending end's bookkeeping: stamping, acks and rewinds, each a transaction of its own under the lease.

Laws:
- Nothing is written without ``Lease.hold`` in the same transaction.
- seq is gapless: rows get ``last_seq + 1, ...`` in the transaction that moves last_seq, under the stream's lock.
- Only committed rows are stamped, in order of position. A row that commits late gets a later seq; it cannot be lost,
  because nothing is ever read "after position n".
- Nothing is stamped when the stream stands before where this session began: the store was set back under it, and only
  the receiver can tell what it already has.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ticketflow.delivery.dialect import ConnT, Dialect, OutboxRow, Pool, StreamState
from ticketflow.delivery.errors import HistoryMoved, RewindImpossible
from ticketflow.delivery.lease import Lease
from ticketflow.delivery.resume import Resume
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.retry import retrying

T = TypeVar("T")

STAMP_ROWS_MAX = 1024  # a transaction of some 10 ms
READ_ROWS_MAX = 256  # at 64 KiB an event at most 16 MiB in memory


class Ledger(Generic[ConnT]):
    """The outbox and the state of one stream, for the one relay that holds ``lease``."""

    def __init__(self, pool: Pool[ConnT], dialect: Dialect[ConnT], stream: str, lease: Lease[ConnT]) -> None:
        self.stream = stream
        self._pool = pool
        self._dialect = dialect
        self._lease = lease
        self._seen: StreamState | None = None  # as of HELLO, or of the last stamp

    async def state(self) -> StreamState:
        """Where this end stands. Raises LeaseLost, Unavailable, Indefinite, as all of these do."""

        async def step(conn: ConnT) -> StreamState:
            await self._dialect.ensure_stream(conn, self.stream)
            return await self._dialect.lock_stream(conn, self.stream)

        self._seen = await self._under_lease(step)
        return self._seen

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
        async with self._pool.acquire() as conn:
            return await self._dialect.has_unstamped(conn, self.stream)

    async def stamp(self, rows_max: int = STAMP_ROWS_MAX) -> int:
        """Stamp committed rows; the last seq of the stream after that. Raises HistoryMoved."""

        async def step(conn: ConnT) -> int:
            state = await self._dialect.lock_stream(conn, self.stream)
            self._check(state)
            count = await self._dialect.stamp(conn, self.stream, state.last_seq, rows_max)
            last_seq = state.last_seq + count
            if count and not await self._dialect.advance_stream(conn, self.stream, state.last_seq, last_seq):
                raise Retryable(f"stream {self.stream}: last_seq moved under its lock")
            return last_seq

        last_seq = await self._under_lease(step)
        if self._seen is not None:
            self._seen = self._seen._replace(last_seq=last_seq)
        return last_seq

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
        async with self._pool.acquire() as conn:
            upto_seq = min(last_seq, after_seq + READ_ROWS_MAX)
            return following(after_seq, await self._dialect.read(conn, self.stream, after_seq, upto_seq))

    async def mark_acked(self, seq: int) -> None:
        """The receiver has everything up to ``seq``."""

        async def step(conn: ConnT) -> None:
            await self._dialect.ack_stream(conn, self.stream, seq)

        await self._under_lease(step)

    async def _under_lease(self, step: Callable[[ConnT], Awaitable[T]]) -> T:
        """``step`` in a transaction that the lease covers; again when the store chose it as a victim."""

        async def attempt() -> T:
            async with self._pool.transaction() as conn:
                await self._lease.hold(conn)
                return await step(conn)

        return await retrying(attempt)


def following(after_seq: int, rows: list[OutboxRow]) -> list[OutboxRow]:
    """``rows``, if they are exactly what follows ``after_seq``. Raises RewindImpossible."""
    if not rows:
        raise RewindImpossible(f"the event after {after_seq} is wanted, and none is kept")
    for expected, row in enumerate(rows, after_seq + 1):
        if row.seq != expected:
            raise RewindImpossible(f"event {expected} is wanted, the next that is kept is {row.seq}")
    return rows
