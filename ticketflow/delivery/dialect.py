"""What delivery asks of a store. All of its SQL is behind these names: once for Postgres, once for MariaDB.

Laws:
- Every method runs in the caller's transaction and never commits. READ COMMITTED is assumed.
- Time is the database's clock; a duration is in seconds.
- Locks are taken in one order: lease row, stream row, outbox rows; inbox stream row, then the handlers' own rows.
- A method that writes under a condition says whether it did; it never reads a value to write it back.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol, TypeVar

from ticketflow.delivery.dialect_history import HistoryDialect
from ticketflow.delivery.lanes import LaneState

ConnT = TypeVar("ConnT")
ConnInT = TypeVar("ConnInT", contravariant=True)
ConnOutT = TypeVar("ConnOutT", covariant=True)

ParkReason = Literal["poison", "undecodable", "failed", "behind"]


class StagedRow(NamedTuple):
    """An event on its way into the outbox."""

    event_id: str
    key: str
    kind: str
    body: bytes


class Arrival(NamedTuple):
    """A received event's dedup key. ``seq`` is None when its source has none."""

    event_id: str
    seq: int | None
    key: str = ""


class OutboxRow(NamedTuple):
    """A stamped event, as it goes over the wire."""

    seq: int
    body: bytes


class StreamState(NamedTuple):
    """The sending end of a stream. ``lanes`` is alike in all lanes of a family; ``barrier_seq`` is 0 for none.
    ``barrier_due``: what a barrier requires (JSON) that has to be stamped before anything else; empty for none."""

    epoch: int
    last_seq: int
    acked_seq: int
    lanes: int = 1
    barrier_seq: int = 0
    barrier_due: str = ""


class InboxState(NamedTuple):
    """The receiving end of a stream."""

    epoch: int
    watermark: int
    fence: int


class Taken(NamedTuple):
    """What a transaction of an inbox begins with. ``new``: the ids recorded now; ``blocked``: keys that have events
    parked."""

    state: InboxState | None
    new: set[str]
    blocked: set[str]


class ParkedRow(NamedTuple):
    """An event that is set aside. ``event_id`` is None, and key and kind are empty, when the body is no event."""

    seq: int
    event_id: str | None
    key: str
    kind: str
    body: bytes
    reason: ParkReason
    detail: str
    attempts: int


class Backlog(NamedTuple):
    """What a stream has not delivered yet: how many events, and how long the oldest of them has waited."""

    unacked: int
    oldest_age_s: float
    last_seq: int
    acked_seq: int


class Pool(Protocol[ConnOutT]):
    """The part of runtime's pools that delivery uses; they turn driver errors into Unavailable and Indefinite."""

    def transaction(self) -> AbstractAsyncContextManager[ConnOutT]: ...

    # Each statement commits by itself. ``plain``: none of them leaves anything in the session.
    def acquire(self, *, plain: bool = False) -> AbstractAsyncContextManager[ConnOutT]: ...


class Dialect(HistoryDialect[ConnInT], Protocol[ConnInT]):
    """The named statements. See postgres.py and mariadb.py, which stand side by side."""

    name: str
    announces: bool  # whether ``announce`` reaches the relays of other processes

    # -- outbox

    async def stage(self, conn: ConnInT, stream: str, rows: Sequence[StagedRow]) -> None:
        """Insert ``rows`` in this order, unstamped."""
        ...

    async def has_unstamped(self, conn: ConnInT, stream: str) -> bool:
        """Whether committed rows wait for their seq."""
        ...

    async def stamp(self, conn: ConnInT, stream: str, after_seq: int, rows_max: int) -> list[OutboxRow] | None:
        """Give ``after_seq + 1, ...`` to committed unstamped rows, in order of position, and move last_seq on to the
        last of them. None when last_seq is not ``after_seq``: then nothing may be committed. Needs the lock of the
        stream."""
        ...

    async def stamp_at_once(
        self, conn: ConnInT, lease: str, token: int, stream: str, seen: StreamState, rows_max: int
    ) -> list[OutboxRow] | None:
        """``hold_stream`` and ``stamp`` for a stream of one lane that stands as it was ``seen``: epoch, last_seq, no
        other lanes, no barrier due. None when it does not, or the lease is not the token's: then nothing is stamped."""
        ...

    async def read(self, conn: ConnInT, stream: str, after_seq: int, upto_seq: int) -> list[OutboxRow]:
        """Stamped rows after ``after_seq``, up to and with ``upto_seq``, in order of seq. Bounded at both ends, so
        that no plan of the store can make it depend on the backlog."""
        ...

    async def oldest_rows(self, conn: ConnInT, stream: str, age_s: float, rows_max: int) -> list[tuple[int, bool]]:
        """The first stamped rows still kept, in order of seq: (seq, whether older than ``age_s``)."""
        ...

    async def purge_outbox(self, conn: ConnInT, stream: str, upto_seq: int) -> int:
        """Delete stamped rows up to and with ``upto_seq``; how many."""
        ...

    # -- stream, sending end

    async def ensure_stream(self, conn: ConnInT, stream: str) -> None:
        """Make the stream's row unless it is there; its epoch is the clock's microseconds, so that a new history never
        repeats an old one's."""
        ...

    async def stream_state(self, conn: ConnInT, stream: str) -> StreamState | None: ...

    async def lock_stream(self, conn: ConnInT, stream: str) -> StreamState:
        """The state, locked until the transaction ends."""
        ...

    async def hold_stream(self, conn: ConnInT, lease: str, token: int, stream: str) -> StreamState | None:
        """``hold_lease`` and ``lock_stream`` in one; None when the first says no, or the stream is not there."""
        ...

    async def advance_stream(self, conn: ConnInT, stream: str, from_seq: int, to_seq: int) -> bool:
        """Move last_seq, if it still is ``from_seq``."""
        ...

    async def ack_stream(self, conn: ConnInT, stream: str, seq: int) -> bool:
        """Move acked_seq forward to ``seq``, if it is behind it and ``seq`` has been stamped."""
        ...

    async def rewind_stream(self, conn: ConnInT, stream: str, seq: int) -> bool:
        """Move acked_seq back to ``seq``, if it is beyond it."""
        ...

    # -- lanes. ``family`` names the stream that is split; see lanes.py

    async def lane_has_unstamped(self, conn: ConnInT, family: str, slots: Sequence[int]) -> bool:
        """Whether committed rows of ``slots`` wait for their seq."""
        ...

    async def stamp_lane(
        self, conn: ConnInT, family: str, stream: str, slots: Sequence[int], after_seq: int, rows_max: int
    ) -> list[OutboxRow] | None:
        """As ``stamp``, for the rows of ``slots``, which get the name of their lane, ``stream``."""
        ...

    async def lane_states(self, conn: ConnInT, family: str) -> list[LaneState]:
        """Every lane that was ever used, in order of number; none for a family that never was."""
        ...

    async def lock_lanes(self, conn: ConnInT, family: str) -> dict[str, StreamState]:
        """The same by stream, locked in order of number until the transaction ends."""
        ...

    async def set_lanes(self, conn: ConnInT, stream: str, lanes: int, last_seq: int, barrier_due: str) -> bool:
        """Note the number of lanes in one lane, and the barrier that is due, if its last_seq still is ``last_seq``."""
        ...

    async def stage_barrier(self, conn: ConnInT, stream: str, seq: int, row: StagedRow, requires: str) -> None:
        """Insert ``row``, stamped with ``seq``, and note what it ``requires`` (JSON); none is due any more. Needs the
        lock of the stream, whose last_seq is the caller's to move."""
        ...

    async def next_barrier(self, conn: ConnInT, stream: str, after_seq: int) -> tuple[int, str] | None:
        """The first barrier after ``after_seq``: its seq, and what it requires (JSON)."""
        ...

    async def purge_barriers(self, conn: ConnInT, stream: str, upto_seq: int) -> None: ...

    async def acked_seqs(self, conn: ConnInT, streams: Sequence[str]) -> dict[str, int]:
        """The sending end's acked_seq of those that are there."""
        ...

    async def watermarks(self, conn: ConnInT, streams: Sequence[str]) -> dict[str, int]:
        """The receiving end's watermark of those that are there."""
        ...

    async def hand_lease_on(self, conn: ConnInT, name: str, to: str, blocker: str) -> None:
        """Take the lease ``name`` from whoever has it, for ever, in the name of ``blocker``; ``to`` becomes free, with
        a token above that of ``name``."""
        ...

    async def meet_replicas(
        self, conn: ConnInT, family: str, owner: str, held: int, seen_s: float
    ) -> list[tuple[str, int]]:
        """Say that ``owner`` is there and relays ``held`` lanes; the same of all who said so within ``seen_s``."""
        ...

    # -- lease

    async def acquire_lease(self, conn: ConnInT, name: str, owner: str, ttl_s: float, takeover: bool) -> int | None:
        """The new token if the lease was free or run out (or, with ``takeover``, is the owner's own), else None."""
        ...

    async def lease_left(self, conn: ConnInT, name: str) -> float | None:
        """How long (s) until the lease runs out, 0 or below when it has; None when there never was one. A plain look,
        perhaps at an older state: only ``acquire_lease`` decides."""
        ...

    async def renew_lease(self, conn: ConnInT, name: str, token: int, ttl_s: float) -> bool:
        """Extend the lease if it is still this token's; it may have run out, as long as nobody else took it."""
        ...

    async def release_lease(self, conn: ConnInT, name: str, token: int) -> bool:
        """Let the lease run out now, if it is this token's, which is void from here on: a renewal that was sent before
        and arrives after it does nothing."""
        ...

    async def hold_lease(self, conn: ConnInT, name: str, token: int) -> bool:
        """Whether the token's lease stands; if so, its row is locked: it stays so until this transaction ends."""
        ...

    # -- inbox

    async def lock_inbox(self, conn: ConnInT, stream: str) -> InboxState | None:
        """The receiving end's state, locked until the transaction ends; None when nothing was ever received."""
        ...

    async def ensure_inbox(self, conn: ConnInT, stream: str, epoch: int, fence: int) -> None:
        """Make the receiving end's row with watermark 0, unless it is there."""
        ...

    async def adopt_sender(self, conn: ConnInT, stream: str, epoch: int, fence: int) -> None:
        """Remember the sender's epoch and fence. Needs the inbox's lock."""
        ...

    async def advance_inbox(self, conn: ConnInT, stream: str, from_seq: int, to_seq: int) -> bool:
        """Move the watermark, if it still is ``from_seq``."""
        ...

    async def record(self, conn: ConnInT, stream: str, arrivals: Sequence[Arrival]) -> set[str]:
        """Record dedup keys; those that were not recorded before, by any stream. Raises runtime's
        Retryable when another transaction recorded one of them meanwhile."""
        ...

    async def take(self, conn: ConnInT, stream: str, family: str, arrivals: Sequence[Arrival]) -> Taken | None:
        """``lock_inbox``, then ``record``, then ``parked_keys`` of ``family``: at once, so that what is recorded has to
        be rolled back unless the state is as it has to be. None: nothing is recorded, since one of them may be known;
        the transaction goes on with the same, one by one. ``arrivals``: some."""
        ...

    async def purge_inbox(self, conn: ConnInT, age_s: float, rows_max: int) -> int:
        """Delete dedup keys older than ``age_s``, but none whose event is parked; how many. Up to which seq they are
        gone is noted: see ``floor_seq``."""
        ...

    # -- parked

    async def park(self, conn: ConnInT, stream: str, epoch: int, rows: Sequence[ParkedRow]) -> None: ...

    async def parked_keys(self, conn: ConnInT, stream: str, keys: Sequence[str]) -> set[str]:
        """Which of ``keys`` have events parked."""
        ...

    async def parked_count(self, conn: ConnInT, stream: str) -> int: ...

    # -- what handlers have asked

    async def settle(self, conn: ConnInT) -> None:
        """Have carried out what was asked of ``conn`` and not waited for, where a driver can do that; raise what
        becomes of it, as the next statement would."""
        ...

    # -- audit

    async def audit(self, conn: ConnInT, actor: str, action: str, subject: str, detail: str) -> None:
        """Note what a person did, in the transaction of the deed. ``action`` is stable, such as parked.requeue;
        at most 255 characters of actor and subject, 64 of action."""
        ...

    # -- watching

    async def backlog(self, conn: ConnInT, stream: str) -> Backlog: ...

    async def announce(self, conn: ConnInT, stream: str) -> None:
        """Have whoever is ``listening`` called, where the store can tell."""
        ...

    def listening(
        self, pool: Pool[ConnInT], stream: str, wake: Callable[[], None]
    ) -> AbstractAsyncContextManager[None]:
        """While entered, ``wake`` is called when the stream is announced; does nothing in a store that cannot
        tell."""
        ...

    def is_store_fault(self, error: Exception) -> bool:
        """Whether a driver's error is about the store (connection, time-out, conflict), not about the statement."""
        ...
