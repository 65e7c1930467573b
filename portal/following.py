"""What the deliveries of one batch say of one stream's position: pure, before anything is written.

Laws of this file:
- An event counts when it is of our epoch. One of another epoch is applied like any other, by its id, and not counted:
  should it belong to our history after all, it is missing and will be sent again. Until then it is a phantom.
- A sender that says it is behind what we know has lost history. What we have settled beyond it is in doubt, and is
  forgotten; the sender finds out when it is shown our ``highest`` (see bridge.rewinds), and begins a new epoch.
- The same of a sender in an epoch older than ours.
- A newer epoch is followed when its forks say what it shares with ours. What we applied beyond that are phantoms.
- A newer epoch that shares nothing with ours is a matter for a person; its events are applied all the same.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from portal.positions import UNKNOWN, Position, counted, descended, following, forgotten, ranges_of, stamped
from ticketflow.delivery.forks import History
from ticketflow.events.replay import StreamPosition

FAMILY = "billing"  # whose events come by the queue, in one lane or many


class Source(msgspec.Struct, frozen=True):
    """Where an event came from. ``event_id`` is None when nothing of it is kept under an id."""

    stream: str
    epoch: int
    seq: int
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Left:
    """An epoch that the sender has left: history beyond ``after_seq`` was lost there."""

    epoch: int
    after_seq: int


@dataclass(slots=True)
class Course:
    """The way of one stream through a batch: ``take`` its deliveries in order, then read the rest."""

    position: Position | None  # None before anything has come
    came: dict[str, int | None] = field(default_factory=dict)  # events, and the seqs to record where they count
    strays: list[Source] = field(default_factory=list)  # of another epoch, beyond what it is known to share with ours
    left: list[Left] = field(default_factory=list)
    present: list[Source] = field(default_factory=list)  # events of the epoch in which the batch ends
    repeated: list[Source] = field(default_factory=list)  # of our history, and not beyond what was known to exist
    behind: bool = False  # the sender said that it is behind us
    resumed: bool = False  # a session began where we had asked it to
    foreign: int | None = None  # an epoch that does not descend from ours
    _seqs: list[int] = field(default_factory=list)
    _highest: int = 0  # of _seqs

    def take(self, items: Sequence[Source | StreamPosition]) -> None:
        for item in items:
            if isinstance(item, Source):
                self._event(item)
            else:
                self._count()
                self._told(item)
        self._count()

    def current(self, fresh: Collection[str]) -> Mapping[int, str]:
        """Which events have just come under seqs that may have been another event's before."""
        return {item.seq: item.event_id for item in self.repeated if item.event_id in fresh and item.event_id}

    def is_plain(self, fresh: Collection[str]) -> bool:
        """Whether nothing is to be done but to keep the position: no fork, no stray, no event that was known, no seq
        that may have been another event's before."""
        known = any(item.event_id is not None and item.event_id not in fresh for item in self.present)
        return not (self.left or self.strays or known or self.current(fresh))

    def collided(self, since: int) -> None:
        """From seq ``since`` on, what we had settled was another history: it is in doubt."""
        assert self.position is not None
        again = ranges_of(item.seq for item in self.present if item.seq >= since)
        self.position = counted(forgotten(self.position, since - 1), again)

    def _event(self, item: Source) -> None:
        if item.event_id is not None:
            self.came.setdefault(item.event_id, None)
        if self.position is None:
            self.position = Position(item.epoch)
        elif self.position.epoch == UNKNOWN:
            self.position = Position(item.epoch, item.seq - 1, highest=item.seq - 1)
        mine = self.position
        if item.epoch == mine.epoch:
            self._seqs.append(item.seq)
            self.present.append(item)
            if item.event_id is not None:
                self.came[item.event_id] = item.seq
            if item.seq <= max(mine.highest, self._highest):
                self.repeated.append(item)
            self._highest = max(self._highest, item.seq)
        elif item.seq > _end_of(item.epoch, mine) and item.event_id is not None:
            self.strays.append(item)

    def _count(self) -> None:
        if self._seqs and self.position is not None:
            self.position = counted(self.position, ranges_of(self._seqs))
        self._seqs.clear()
        self._highest = 0

    def _told(self, told: StreamPosition) -> None:
        mine = self.position or Position(told.epoch)
        if mine.epoch == UNKNOWN:
            return
        if told.epoch == mine.epoch:
            self.resumed = self.resumed or told.resumed_after is not None
            self.behind = told.last_seq < mine.highest
            mine = descended(mine, told.forks)
            self.position = forgotten(mine, told.last_seq) if self.behind else stamped(mine, told.last_seq)
            return
        moved = following(mine, History(told.epoch, tuple(told.forks)), told.last_seq)
        if moved is None:
            self.behind = told.epoch < mine.epoch
            self.foreign = None if self.behind else told.epoch
            return
        self.position, common = moved
        self.left.append(Left(mine.epoch, common))
        self.behind, self.foreign = False, None
        self.present.clear()
        self.repeated = [item for item in self.repeated if item.seq <= common]  # beyond, all are phantoms anyway


def _end_of(epoch: int, mine: Position) -> int:
    """The last seq of ``epoch`` that is of our history too."""
    return min((after for forked, after in mine.forks if forked >= epoch), default=0)
