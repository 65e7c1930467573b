"""Looks after the connections that a pool has lent: cuts those that no answer can come from any more (see vigil.py)."""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NamedTuple, NoReturn, TypeVar

from ticketflow.runtime import metrics
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.slot import Driver, Place, Slot
from ticketflow.runtime.vigil import SILENT_S, Vigil

C = TypeVar("C")

LOOK_EVERY_S = 0.2
IDLE_LOOK_S = (
    SILENT_S  # while nothing is lent: what is lent right after a look cannot be silent for long before the next
)
# A newcomer has so long, and four times what a newcomer elsewhere took: where everything is slow nobody is silent. With
# the 0.4 to 0.6 s before it, a freeze is over after 1.4 s, before nginx gives up a first try (1.5 s).
NEWCOMER_S = 0.8
SLOWER_THAN_ELSEWHERE = 4
PATIENCE_S_MAX = 4.0  # while nobody answers anywhere, each look takes twice as long as the one before
LATE_S = 0.2  # we stood still for so long: what has been answered meanwhile is to be read first

log = get_logger("pool")

_cut = metrics.counter("pool_cut_total", "Connections cut because nobody answered at their end any more", ("pool",))


class Watch(Generic[C]):
    """``lent``: the connections in use. ``cut``: cuts those, idle ones among them, whose place is such; how many."""

    def __init__(
        self,
        name: str,
        driver: Driver[C],
        lent: Callable[[], Iterable[Slot[C]]],
        cut: Callable[[Callable[[Place], bool]], int],
    ) -> None:
        self._name = name
        self._driver = driver
        self._lent = lent
        self._cut = cut
        self._vigil = Vigil()
        self._patience_s = NEWCOMER_S

    def heard(self, place: Place) -> None:
        """A server did what it was asked to."""
        self._vigil.heard(place, asyncio.get_running_loop().time())

    async def run(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        lent: list[tuple[Place, float]] = []
        while True:
            pause_s = LOOK_EVERY_S if lent else IDLE_LOOK_S
            due = loop.time() + pause_s
            await asyncio.sleep(pause_s)
            if loop.time() - due > LATE_S:
                continue
            lent = [(slot.place, slot.lent_at) for slot in self._lent()]
            suspects = self._vigil.suspects(lent, loop.time())
            if suspects:
                await asyncio.gather(*(self._look(address) for address in suspects))

    async def _look(self, address: Hashable) -> None:
        newcomers = {way: asyncio.ensure_future(self._driver.node_at(way)) for way in self._driver.addresses}
        suspect = newcomers.pop(address)
        try:
            found = await self._ask(suspect, set(newcomers.values()))
        finally:
            for newcomer in (suspect, *newcomers.values()):
                newcomer.cancel()
        now = asyncio.get_running_loop().time()
        if found is None:
            return
        if found.node is not None:
            for place in {slot.place for slot in self._lent() if slot.place.address == address}:
                if found.node in ("", place.node):
                    self._vigil.vouched(place, now)
        cut = self._cut(lambda place: place.address == address and self._is_lost(place, found, now))
        if cut:
            self._driver.avoid(address)
            _cut.labels(self._name).inc(cut)
            log.warning("pool_cut", pool=self._name, address=str(address), answered_by=found.node, connections=cut)

    async def _ask(
        self, suspect: "asyncio.Future[str | None]", rivals: "set[asyncio.Future[str | None]]"
    ) -> "Found | None":
        """What newcomers were told, all of whom were sent at once; None when it says nothing."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        ends_at = began + self._patience_s
        elsewhere = False
        while True:
            if loop.time() > ends_at + LATE_S:
                return None
            if suspect.done() and suspect.result() is not None:
                self._patience_s = NEWCOMER_S
                return Found(suspect.result(), elsewhere)
            for rival in [rival for rival in rivals if rival.done()]:
                rivals.discard(rival)
                if rival.result() is not None and not elsewhere:
                    elsewhere, self._patience_s = True, NEWCOMER_S
                    ends_at = began + max(NEWCOMER_S, SLOWER_THAN_ELSEWHERE * (loop.time() - began))
            waiting = [newcomer for newcomer in (suspect, *rivals) if not newcomer.done()]
            if loop.time() >= ends_at or (suspect.done() and (elsewhere or not rivals)):
                if not elsewhere:
                    self._patience_s = min(2 * self._patience_s, PATIENCE_S_MAX)
                return Found(None, elsewhere)
            await asyncio.wait(waiting, timeout=ends_at - loop.time(), return_when=asyncio.FIRST_COMPLETED)

    def _is_lost(self, place: Place, found: "Found", now: float) -> bool:
        """Cut only who has somewhere to go: on a machine where all is slow, new logins would make it slower still."""
        if not self._vigil.is_silent(place, now):
            return False
        return found.elsewhere if found.node is None else found.node not in ("", place.node)


class Found(NamedTuple):
    """``node``: who answered at the suspect's address, "" if that was not told, None if nobody did. ``elsewhere``:
    whether somebody answered at another address."""

    node: str | None
    elsewhere: bool
