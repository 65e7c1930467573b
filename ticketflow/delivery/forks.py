"""Two ends of a stream whose histories have parted: how far they agree. Pure: no store, no feed, no clock.

Laws:
- A history is its epochs, oldest first: each was the sender's up to and with ``after_seq``, then the next began. Epochs
  rise. The present epoch has no end.
- What two histories are known to share ends at the earliest fork, of either, from their newest common epoch on.
- A receiver follows a sender into a newer epoch only, and only when it knows what they share. Into an older one never:
  a sender that was restored to before its own fork sees the newer epoch in WELCOME, and forks again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ticketflow.feed import FORKS_MAX

ENDLESS = 2**63 - 1  # no seq is higher


@dataclass(frozen=True, slots=True)
class History:
    """``forks``: (epoch, after_seq), oldest first, of the epochs before ``epoch``."""

    epoch: int
    forks: tuple[tuple[int, int], ...] = ()

    @property
    def ends(self) -> dict[int, int]:
        """How far this history goes along with each of its epochs."""
        return {**dict(self.forks), self.epoch: ENDLESS}


def shared(one: History, other: History) -> int | None:
    """The last seq up to which both are known to be the same; None when they have no epoch in common."""
    ends, others = one.ends, other.ends
    common = max(ends.keys() & others.keys(), default=None)
    if common is None:
        return None
    return min(end for history in (ends, others) for epoch, end in history.items() if epoch >= common)


def follows(receiver: History, position: int, sender: History) -> int | None:
    """Up to which seq a receiver keeps what it has when it follows ``sender`` into its epoch; None: it stays.

    ``position``: the highest seq it has applied. Whoever has nothing follows anybody.
    """
    if receiver.epoch == sender.epoch:
        return None
    if position == 0:
        return 0
    return shared(receiver, sender) if sender.epoch > receiver.epoch else None


def joined(receiver: History, sender: History) -> tuple[tuple[int, int], ...]:
    """The forks of a receiver that has followed ``sender``: the sender's, and before them its own older ones."""
    first = min(sender.ends)
    older = [fork for fork in receiver.forks if fork[0] < first]
    return newest([*older, *sender.forks])


def newest(forks: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """As many as HELLO may carry."""
    return tuple(sorted(forks)[-FORKS_MAX:])
