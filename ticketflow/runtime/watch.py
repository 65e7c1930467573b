"""Looks after the connections that a pool has lent: cuts those that no answer can come from any more (see vigil.py)."""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NoReturn, TypeVar

from ticketflow.runtime import metrics
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.slot import Driver, Place, Slot
from ticketflow.runtime.vigil import Vigil

C = TypeVar("C")

LOOK_EVERY_S = 0.2
NEWCOMER_S = 1.0  # a login takes 20 ms, some 200 ms on a busy machine; what answers none within a second serves nobody
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

    def heard(self, place: Place) -> None:
        """A server did what it was asked to."""
        self._vigil.heard(place, asyncio.get_running_loop().time())

    async def run(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            if loop.time() - due > LATE_S:
                continue
            lent = [(slot.place, slot.lent_at) for slot in self._lent()]
            suspects = self._vigil.suspects(lent, loop.time())
            if suspects:
                await asyncio.gather(*(self._look(address) for address in suspects))

    async def _look(self, address: Hashable) -> None:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        node: str | None = None
        try:
            async with asyncio.timeout(NEWCOMER_S):
                node = await self._driver.node_at(address)
        except TimeoutError:
            if loop.time() - asked_at > NEWCOMER_S + LATE_S:
                return  # he may have been answered while we stood still
        now = loop.time()
        if node is not None:
            for place in {slot.place for slot in self._lent() if slot.place.address == address}:
                if node in ("", place.node):
                    self._vigil.vouched(place, now)
        cut = self._cut(lambda place: self._is_lost(place, address, node, now))
        if cut:
            self._driver.avoid(address)
            _cut.labels(self._name).inc(cut)
            log.warning("pool_cut", pool=self._name, address=str(address), answered_by=node, connections=cut)

    def _is_lost(self, place: Place, address: Hashable, node: str | None, now: float) -> bool:
        replaced = node is None or node not in ("", place.node)
        return place.address == address and replaced and self._vigil.is_silent(place, now)
