"""The history of a store's streams as people look at it, and the two things that only a person may do about it.

Laws:
- Looking changes nothing. What changes something leaves its row in delivery_audit, in the same transaction.
- A fork by hand says what this sender knows of the receiver's epoch; that the two really share it is the person's word.
"""

import getpass
import os
from dataclasses import dataclass
from typing import Generic

from ticketflow.delivery.dialect import ConnT, Dialect, Pool
from ticketflow.delivery.dialect_history import Finding, Phantom, Side, What
from ticketflow.delivery.errors import DeliveryFault
from ticketflow.runtime.settings import host_name

ACTOR_CHARS_MAX = 255
NOTE_CHARS_MAX = 2000
PHANTOMS_MAX = 10_000  # of one listing; when those are resolved the next are shown


class NotThere(DeliveryFault):
    """What a person named is not there, or not so. The message says what is."""


@dataclass(frozen=True)
class End:
    """One side of a stream. ``upto_seq``: last_seq of a sender, watermark of a receiver; what the other side has not
    is None."""

    side: Side
    stream: str
    epoch: int
    upto_seq: int
    acked_seq: int | None = None
    unacked: int | None = None
    oldest_age_s: float | None = None
    parked: int | None = None


class StreamHistory(Generic[ConnT]):
    """All streams of one store."""

    def __init__(self, pool: Pool[ConnT], dialect: Dialect[ConnT]) -> None:
        self._pool = pool
        self._dialect = dialect

    async def ends(self) -> list[End]:
        async with self._pool.transaction() as conn:
            return [await self._end(conn, *end) for end in await self._dialect.ends(conn)]

    async def findings(self, *, settled: bool = False) -> list[Finding]:
        """What is unresolved; with ``settled``, everything."""
        async with self._pool.transaction() as conn:
            return await self._dialect.findings(conn, settled)

    async def phantoms(self, stream: str) -> list[Phantom]:
        """The unresolved ones of a stream, PHANTOMS_MAX at most."""
        async with self._pool.transaction() as conn:
            return await self._dialect.phantoms(conn, stream, PHANTOMS_MAX)

    async def resolve(
        self, what: What, stream: str, *, epoch: int | None, seq: int | None, note: str, actor: str
    ) -> int:
        """Settle what is unresolved of ``stream``: of one epoch, or at one seq, or all; how many. Raises NotThere."""
        async with self._pool.transaction() as conn:
            count = await self._dialect.resolve(conn, what, stream, epoch, seq, note)
            if count == 0:
                raise NotThere(f"no unresolved {what} of {stream}{_of(epoch, seq)}")
            await self._dialect.audit(
                conn, actor, f"{what}.resolve", f"{stream}{_of(epoch, seq)}"[:ACTOR_CHARS_MAX], f"{count}: {note}"
            )
        return count

    async def fork(self, stream: str, *, from_epoch: int, after_seq: int, actor: str) -> int:
        """Begin a new epoch, whose history is that of ``from_epoch`` up to and with ``after_seq``: the new epoch.

        For a receiver that stands in an epoch of which this sender knows nothing. Raises NotThere.
        """
        async with self._pool.transaction() as conn:
            if await self._dialect.stream_state(conn, stream) is None:
                raise NotThere(f"nothing was ever sent in {stream} here")
            state = await self._dialect.lock_stream(conn, stream)
            if not 0 <= after_seq <= state.last_seq:
                raise NotThere(f"{stream} goes to {state.last_seq} here: nothing can be shared up to {after_seq}")
            note = f"by hand: {actor}"
            await self._dialect.note_fork(conn, stream, from_epoch, after_seq, None, note)
            if from_epoch != state.epoch:
                await self._dialect.note_fork(conn, stream, state.epoch, state.last_seq, None, note)
            epoch = await self._dialect.begin_epoch(conn, stream, from_epoch)
            await self._dialect.audit(
                conn, actor, "stream.fork", stream, f"from epoch {from_epoch} after {after_seq} into {epoch}"
            )
        return epoch

    async def _end(self, conn: ConnT, side: Side, stream: str, epoch: int, upto_seq: int) -> End:
        if side == "in":
            return End(side, stream, epoch, upto_seq, parked=await self._dialect.parked_count(conn, stream))
        backlog = await self._dialect.backlog(conn, stream)
        return End(side, stream, epoch, upto_seq, backlog.acked_seq, backlog.unacked, backlog.oldest_age_s)


def whoever() -> str:
    """The user of the system at this host; a container may have no name for its user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user} @ {host_name()}"[:ACTOR_CHARS_MAX]


def _of(epoch: int | None, seq: int | None) -> str:
    return (f", epoch {epoch}" if epoch is not None else "") + (f", seq {seq}" if seq is not None else "")
