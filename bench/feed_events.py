"""The events that the benches of the feed send: of one size, and for a long stretch all different."""

import random
from collections.abc import Sequence

EVENT_BYTES = 246  # a `hold.placed` of two seats
DIFFERENT = 4096  # more than any window

_chance = random.Random(246)
_EVENTS = tuple(_chance.randbytes(EVENT_BYTES) for _ in range(DIFFERENT))
_TWICE = list(_EVENTS * 2)


def event(seq: int) -> bytes:
    """The event that has this seq, from 1 on."""
    return _EVENTS[(seq - 1) % DIFFERENT]


def events(first_seq: int, count: int) -> list[bytes]:
    """``count`` events from ``first_seq`` on, at most DIFFERENT."""
    at = (first_seq - 1) % DIFFERENT
    return _TWICE[at : at + count]


class Counted:
    """What a receiver has got: every event once, in order, as it was sent; else AssertionError."""

    def __init__(self) -> None:
        self.last_seq = 0

    def one(self, body: bytes) -> None:
        assert body == event(self.last_seq + 1), f"seq {self.last_seq + 1} is not what was sent"
        self.last_seq += 1

    def many(self, bodies: Sequence[bytes]) -> None:
        assert bodies == events(self.last_seq + 1, len(bodies)), f"not what was sent, from seq {self.last_seq + 1} on"
        self.last_seq += len(bodies)
