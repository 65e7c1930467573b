"""Which address to try next, and how long to wait before trying again. No I/O, no clock."""

import random
from collections.abc import Sequence

from ticketflow.feed.address import Address

_random = random.SystemRandom()  # relays that were cut at one moment must not come back at one moment


class Rotation:
    """Several addresses of one receiver: stay with the one that works, go round when it does not."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        """Raises ValueError when ``addresses`` is empty."""
        if not addresses:
            raise ValueError("no addresses")
        self._addresses = tuple(addresses)
        self._first = 0

    def order(self) -> tuple[Address, ...]:
        """All addresses, the one to be tried first at the front."""
        return self._addresses[self._first :] + self._addresses[: self._first]

    def worked(self, address: Address) -> None:
        """A session was opened there: begin there next time."""
        self._first = self._addresses.index(address)

    def failed(self, address: Address) -> None:
        """A session there was lost or refused: begin with the next one next time."""
        if self._addresses[self._first] == address:
            self._first = (self._first + 1) % len(self._addresses)


class Backoff:
    """Jittered exponential delays: 50 ms to 2 s. Reset it on progress (an ACK), not on a mere connection,
    or a receiver that accepts and then fails is stormed."""

    def __init__(self, first_s: float = 0.05, max_s: float = 2.0, rng: random.Random = _random) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._rng = rng
        self._next_s = first_s

    def next(self, at_least_s: float | None = None) -> float:
        """The delay before the next attempt, in seconds: half to all of a bound that doubles.

        ``at_least_s``: the peer's retry hint; it is honoured up to 15 times ``max_s``, with jitter on top.
        """
        bound = self._next_s
        self._next_s = min(self._max_s, bound * 2)
        delay = self._rng.uniform(bound / 2, bound)
        if at_least_s is not None:
            delay += min(max(at_least_s, 0.0), 15 * self._max_s)
        return delay

    def reset(self) -> None:
        """There was progress: begin with short delays again."""
        self._next_s = self._first_s
