"""What the crowd believes to be free: which seats the next buyer asks for.

A belief only: the shop decides. To read the whole plan of the hall for each buyer would cost the driver more than all
the rest; seats that came back by expiry are believed to be taken a little too long.
"""

import random
from collections.abc import Iterable, Sequence


class Seating:
    def __init__(self, seats: Sequence[str], chance: random.Random) -> None:
        self._free = list(seats)
        chance.shuffle(self._free)
        self._latest: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        return len(self._free)

    def choose(self, count: int) -> tuple[str, ...]:
        """Seats that nobody else is told about; fewer, or none, when they run out."""
        self._latest = tuple(self._free.pop() for _ in range(min(count, len(self._free))))
        return self._latest

    def elbow(self) -> tuple[str, ...]:
        """Those that the latest buyer is just asking for; none when there was no such buyer."""
        return self._latest

    def give_back(self, seats: Iterable[str]) -> None:
        """They are free again."""
        self._free = [*seats, *self._free]

    def see(self, free: Sequence[str], count: int, chance: random.Random) -> tuple[str, ...]:
        """A choice from what the hall's plan shows to be free."""
        chosen = tuple(chance.sample(free, min(count, len(free))))
        taken = set(chosen)
        self._free = [seat for seat in self._free if seat not in taken]
        return chosen
