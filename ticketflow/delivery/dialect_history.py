"""What delivery asks of a store about the history of its streams: forks, phantoms, holes. The laws of dialect.py hold.

``side`` is the end of a stream that a store has: 'out', its outbox; 'in', its inbox.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeVar

ConnInT = TypeVar("ConnInT", contravariant=True)

Side = Literal["out", "in"]
What = Literal["fork", "phantom", "hole"]


class Span(NamedTuple):
    """How far one side of a stream goes, and how far it has been counted (see delivery_check)."""

    side: Side
    stream: str
    epoch: int
    upto_seq: int  # last_seq of an outbox, watermark of an inbox
    checked_seq: int
    floor_seq: int
    resume_seq: int
    recount_due: bool


class Replay(NamedTuple):
    """A watermark that was lowered, so that a hole is filled. ``resume_seq`` is 0 when none was."""

    resume_seq: int
    stuck_seq: int
    tries: int


class Hole(NamedTuple):
    """``position`` names its row."""

    position: int
    first_seq: int
    last_seq: int


class Finding(NamedTuple):
    """One row for people: a fork, a hole, or the phantoms of one epoch. Seqs are first and last."""

    what: What
    side: Side
    stream: str
    epoch: int
    first_seq: int
    last_seq: int
    events: int
    found_at: datetime
    state: str
    note: str


class Phantom(NamedTuple):
    """An event that was received and that its sender no longer has. ``parked``: its effect was never applied."""

    epoch: int
    seq: int
    event_id: str
    key: str
    parked: bool
    received_at: datetime


class HistoryDialect(Protocol[ConnInT]):
    # -- forks, at the sending end

    async def stream_forks(self, conn: ConnInT, stream: str) -> list[tuple[int, int]]:
        """(epoch, after_seq) of this sender's epochs that ended, oldest first, the newest FORKS_MAX."""
        ...

    async def note_fork(
        self, conn: ConnInT, stream: str, epoch: int, after_seq: int, receiver_watermark: int | None, note: str
    ) -> None:
        """The epoch ended. Of one that is noted already, the lower ``after_seq`` counts."""
        ...

    async def begin_epoch(self, conn: ConnInT, stream: str, above: int) -> int:
        """A new epoch, from the clock, above the present one and ``above``. Needs the lock of the stream."""
        ...

    # -- forks and phantoms, at the receiving end; all need the lock of the inbox

    async def inbox_forks(self, conn: ConnInT, stream: str) -> list[tuple[int, int]]: ...

    async def top_seq(self, conn: ConnInT, stream: str) -> int:
        """The highest seq that was received in the present history; 0 for none."""
        ...

    async def quarantine(self, conn: ConnInT, stream: str, epoch: int, after_seq: int) -> int:
        """Events beyond ``after_seq`` become phantoms: their ids stay known, their seqs are free. Watermark and
        counting go back to it. How many."""
        ...

    async def follow(
        self, conn: ConnInT, stream: str, epoch: int, fence: int, forks: Sequence[tuple[int, int]]
    ) -> None:
        """Take on the sender's epoch, fence and forks."""
        ...

    async def pass_over(
        self, conn: ConnInT, stream: str, epoch: int, rows: Sequence[tuple[str | None, int]]
    ) -> set[int]:
        """Note that seqs have come with (event_id, seq): a known id, or None for bytes that are no event. Those of
        them that nothing stood for until now. A phantom that came again is one no longer."""
        ...

    # -- holes

    async def spans(self, conn: ConnInT) -> list[Span]:
        """Both sides of every stream of this store."""
        ...

    async def ensure_checks(self, conn: ConnInT) -> None:
        """Make the counting's rows of streams that have none."""
        ...

    async def first_kept(self, conn: ConnInT, stream: str) -> int | None:
        """The lowest seq in the outbox; None for none."""
        ...

    async def count_seqs(self, conn: ConnInT, side: Side, stream: str, first_seq: int, last_seq: int) -> int:
        """How many different seqs of a range are there. One scan of an index."""
        ...

    async def seqs(self, conn: ConnInT, side: Side, stream: str, first_seq: int, last_seq: int) -> list[int]:
        """Which they are, in any order."""
        ...

    async def floor_seq(self, conn: ConnInT, side: Side, stream: str) -> int:
        """As it is committed now: a purge may have passed."""
        ...

    async def checked(self, conn: ConnInT, side: Side, stream: str, from_seq: int, to_seq: int) -> bool:
        """Move checked_seq, if it still is ``from_seq``."""
        ...

    async def recount(self, conn: ConnInT, side: Side, stream: str, every_s: float) -> None:
        """Count again from the floor, and the next time in ``every_s``."""
        ...

    async def open_holes(self, conn: ConnInT, side: Side, stream: str) -> list[Hole]:
        """Those that are not filled and not known to be unfillable."""
        ...

    async def known_holes(self, conn: ConnInT, side: Side, stream: str, first_seq: int, last_seq: int) -> list[Hole]:
        """Those not filled that touch a range, also those that a person has settled."""
        ...

    async def note_hole(
        self,
        conn: ConnInT,
        side: Side,
        stream: str,
        epoch: int,
        first_seq: int,
        last_seq: int,
        given_up: bool,
        note: str,
    ) -> None: ...

    async def end_hole(self, conn: ConnInT, position: int, filled: bool, note: str) -> None:
        """It is filled, or given up."""
        ...

    async def received_within(self, conn: ConnInT, stream: str, after_seq: int, age_s: float) -> bool:
        """Whether the next event after ``after_seq`` was received less than ``age_s`` ago."""
        ...

    async def replay(self, conn: ConnInT, stream: str) -> Replay: ...

    async def set_replay(self, conn: ConnInT, stream: str, replay: Replay) -> None: ...

    async def lower_inbox(self, conn: ConnInT, stream: str, to_seq: int) -> bool:
        """Move the watermark back, if it is beyond ``to_seq``. Needs the lock of the inbox."""
        ...

    # -- for people

    async def ends(self, conn: ConnInT) -> list[tuple[Side, str, int, int]]:
        """Both sides of every stream of this store: side, stream, epoch, and how far it goes."""
        ...

    async def findings(self, conn: ConnInT, settled: bool = False) -> list[Finding]:
        """What is unresolved; with ``settled``, everything."""
        ...

    async def phantoms(self, conn: ConnInT, stream: str, rows_max: int) -> list[Phantom]:
        """The first that are unresolved, in order of epoch and seq."""
        ...

    async def unresolved(self, conn: ConnInT) -> dict[tuple[str, What], int]:
        """How many, by stream and kind."""
        ...

    async def resolve(
        self, conn: ConnInT, what: What, stream: str, epoch: int | None, seq: int | None, note: str
    ) -> int:
        """Mark as settled: all of the stream, or of one epoch, or the one at ``seq``; how many."""
        ...
