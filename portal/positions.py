"""How far the portal has come in a stream that RabbitMQ brings: which seqs it has settled, and what it knows to exist.

RabbitMQ may deliver out of order, twice, and (after an accident) not at all; so a position is a set of seqs, kept as a
watermark and the ranges beyond it. Pure: no database, no clock.

Laws of this file:
- A seq counts once its event is settled (applied, known, ignored or parked), in the same transaction.
- Forgetting that a seq was settled is always allowed: it costs a replay, which dedup drops. Believing that one was
  settled that was not would lose an event. So what is in doubt is forgotten.
- The number of ranges is bounded; beyond it the highest are forgotten.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ticketflow.delivery.forks import History, follows, joined

RANGES_MAX = 100
UNKNOWN = 0  # the epoch of a position that begins with whichever event comes next

Range = tuple[int, int]  # first and last seq


@dataclass(frozen=True, slots=True)
class Position:
    """``watermark``: all up to it is settled. ``ahead``: settled ranges beyond it, apart from it and from each other.

    ``highest``: the highest seq that the sender is known to have given in ``epoch``. ``forks``: the epochs before it,
    as in HELLO.
    """

    epoch: int
    watermark: int = 0
    ahead: tuple[Range, ...] = ()
    highest: int = 0
    forks: tuple[Range, ...] = ()  # (epoch, after_seq)

    @property
    def history(self) -> History:
        return History(self.epoch, self.forks)

    @property
    def missing(self) -> int:
        """How many events are known to exist and not settled."""
        return self.highest - self.watermark - sum(last - first + 1 for first, last in self.ahead)

    def has(self, seq: int) -> bool:
        return seq <= self.watermark or any(first <= seq <= last for first, last in self.ahead)


def counted(position: Position, ranges: Iterable[Range]) -> Position:
    """With these settled too."""
    watermark, ahead = position.watermark, list[Range]()
    for first, last in sorted([*position.ahead, *ranges]):
        if first <= watermark + 1:
            watermark = max(watermark, last)
        elif ahead and first <= ahead[-1][1] + 1:
            ahead[-1] = (ahead[-1][0], max(ahead[-1][1], last))
        else:
            ahead.append((first, last))
    highest = max(position.highest, watermark, ahead[-1][1] if ahead else 0)
    return replace(position, watermark=watermark, ahead=tuple(ahead[:RANGES_MAX]), highest=highest)


def forgotten(position: Position, after: int) -> Position:
    """Without what was settled beyond ``after``; that it once existed is not forgotten."""
    ahead = tuple((first, min(last, after)) for first, last in position.ahead if first <= after)
    return replace(position, watermark=min(position.watermark, after), ahead=ahead)


def stamped(position: Position, last_seq: int) -> Position:
    """The sender has given seqs up to ``last_seq``, whether or not they have come."""
    return replace(position, highest=max(position.highest, last_seq))


def descended(position: Position, forks: Sequence[tuple[int, int]]) -> Position:
    """The sender, in our epoch, says from which it descends."""
    known = joined(position.history, History(position.epoch, tuple(forks)))
    return position if known == position.forks else replace(position, forks=known)


def following(position: Position, sender: History, last_seq: int) -> tuple[Position, int] | None:
    """The position in the sender's newer epoch, and the last seq that both histories share; None when it cannot be
    followed: its epoch is not newer, or has nothing in common with ours."""
    common = follows(position.history, position.highest, sender)
    if common is None:
        return None
    common = min(common, position.highest)
    moved = replace(
        forgotten(position, common),
        epoch=sender.epoch,
        highest=max(last_seq, common),
        forks=joined(position.history, sender),
    )
    return moved, common


def gaps(position: Position) -> list[Range]:
    """The ranges that are missing, lowest first."""
    found: list[Range] = []
    after = position.watermark
    for first, last in (*position.ahead, (position.highest + 1, position.highest)):
        if after + 1 < first:
            found.append((after + 1, first - 1))
        after = last
    return found


def ranges_of(seqs: Iterable[int]) -> list[Range]:
    """The seqs, in any order, as ranges."""
    found: list[Range] = []
    for seq in sorted(set(seqs)):
        if found and seq == found[-1][1] + 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found
