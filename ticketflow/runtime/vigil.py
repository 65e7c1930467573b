"""Which places have fallen silent. No I/O, no clock: the pool tells and asks, see ``pool.Pool``.

A proxy or a server that is frozen keeps its connections open and says nothing, and its kernel goes on acknowledging:
neither keepalive nor TCP_USER_TIMEOUT notices. A statement's own deadline is seconds away, as it must be: a statement
may honestly wait for a lock, a COMMIT for its replica. What tells the two apart is a newcomer, who need not wait for
either: where nobody answers him, nobody will answer those who wait. And where another server answers him, they wait for
one that has been replaced.

Laws, here and in watch.py:
- Nobody is suspected in whose place anything was answered lately: a slow server is not a silent one.
- Nothing is cut on suspicion alone, only on a newcomer's word.
- Nothing is cut unless somebody answers elsewhere: who has nowhere to go had better wait for his own deadline.
"""

from collections.abc import Hashable, Iterable

from ticketflow.runtime.slot import Place

SILENT_S = 0.4  # a hundred times what a transaction takes
VOUCHED_S = (
    2.0  # a newcomer was answered: who waits there waits honestly. Else each long wait would cost a login a second
)


class Vigil:
    def __init__(self) -> None:
        self._trusted_until: dict[Place, float] = {}

    def heard(self, place: Place, now: float) -> None:
        """A server did what it was asked to."""
        self._trusted_until[place] = now + SILENT_S

    def vouched(self, place: Place, now: float) -> None:
        """A server answered a newcomer."""
        self._trusted_until[place] = now + VOUCHED_S

    def suspects(self, lent: Iterable[tuple[Place, float]], now: float) -> set[Hashable]:
        """The addresses to be looked at. ``lent``: for each connection in use its place, and since when."""
        silent = {place for place, since in lent if now - since >= SILENT_S}
        return {place.address for place in silent if self.is_silent(place, now)}

    def is_silent(self, place: Place, now: float) -> bool:
        return now >= self._trusted_until.get(place, now)

    def forget(self, place: Place) -> None:
        """Its connections are cut."""
        self._trusted_until.pop(place, None)
