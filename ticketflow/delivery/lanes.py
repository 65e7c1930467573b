"""Lanes: a stream split by hash of key, so that several relays can share its work. Pure: no store, no clock.

Laws:
- A family of streams: lane 0 is the stream itself (`reservation`), lane i is `reservation.i`. Each has a position, an
  epoch, a lease and a session of its own, and is to the feed a stream like any other.
- A key belongs to one slot of 64 for ever, and at any time a slot to one lane: slot modulo the number of lanes. The
  store computes the slot, each with a hash of its own: nobody but the stamper asks for it.
- Only the number of lanes changes, for all lanes in one transaction. What is stamped stays where it is. Every lane that
  goes on begins with a barrier: nothing after it counts before all that was stamped earlier, in any lane, has been
  applied. So the events of a key that changes its lane keep their order, and again whenever they are sent again.
"""

from collections.abc import Sequence
from typing import NamedTuple

SLOTS = 64
LANES_MAX = 16  # a receiver takes 32 connections of one host, and a replica may have to carry every lane

LEASE_BLOCKER = "lanes"  # owner of a lease that nobody is to get


class Lane(NamedTuple):
    """Lane ``number`` of ``family``."""

    family: str
    number: int

    @property
    def stream(self) -> str:
        return self.family if self.number == 0 else f"{self.family}.{self.number}"

    def slots(self, lanes: int) -> list[int]:
        """The slots it carries when there are ``lanes``; none when it is retired."""
        return [slot for slot in range(SLOTS) if slot % lanes == self.number]

    def lease(self, lanes: int) -> str:
        """The lease under which it is relayed. Where there is one lane this is the name that versions without lanes use
        too; where there are several, nobody can get that one: such a version would stamp everything into lane 0."""
        return f"relay:{self.family}.0" if self.number == 0 and lanes > 1 else f"relay:{self.stream}"


class LaneState(NamedTuple):
    """The sending end of one lane. ``kept``: whether its outbox still has stamped events."""

    lane: Lane
    lanes: int
    last_seq: int
    acked_seq: int
    kept: bool

    @property
    def at_work(self) -> bool:
        """Whether it needs a relay: it takes new events, or its receiver may ask for old ones."""
        return self.lane.number < self.lanes or self.acked_seq < self.last_seq or self.kept


def lane_of(family: str, stream: str) -> Lane | None:
    """Which lane of ``family`` the name means; None for a stranger."""
    if stream == family:
        return Lane(family, 0)
    head, dot, number = stream.rpartition(".")
    if not dot or head != family or not number.isascii() or not number.isdigit() or str(int(number)) != number:
        return None
    return Lane(family, int(number)) if 1 <= int(number) < SLOTS else None


def streams_of(family: str) -> list[str]:
    """Every name that a lane of ``family`` may have."""
    return [Lane(family, number).stream for number in range(SLOTS)]


def numbered(family: str, streams: Sequence[str]) -> list[Lane]:
    """The lanes among ``streams``, in order of number."""
    return sorted(lane for stream in streams if (lane := lane_of(family, stream)) is not None)
