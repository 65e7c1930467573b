"""The person who is called when the two ends do not know what they share: forks by the service's command."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import Process
from tests.simulation.plan import STREAM
from tests.simulation.store import SimulatedStore
from ticketflow.delivery.history import StreamHistory
from ticketflow.runtime.errors import Indefinite, Unavailable

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS_EVERY_S = 1.0


class Operator:
    """What the two share he finds out by comparing the rows of both stores, as a person would."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._called = False

    def called(self) -> None:
        self._called = True

    async def attend(self) -> None:
        """Once called, look again and again: the product says it in a log line once, then in a metric."""
        waited = False
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            if self._called and self._world.sending.up and self._world.receiving.up:
                wrong = self._disagree()
                if wrong and waited:
                    with suppress(Unavailable, Indefinite):
                        await Process("operator", self._world.loop).spawn(self._fork())
                waited = wrong and not waited

    def _disagree(self) -> bool:
        state = self._world.sending.table("stream").get(STREAM)
        position = self._world.receiving.table("position").get(STREAM)
        return state is not None and position is not None and bool(position.epoch < state.epoch)

    async def _fork(self) -> None:
        world = self._world
        dialect: Any = world.dialect
        store = SimulatedStore(world.sending, Process("operator", world.loop))
        epoch, after_seq = world.receiving.table("position")[STREAM].epoch, self._common()
        world.tell("operator", f"forks from epoch {epoch} after {after_seq}")
        await StreamHistory(store, dialect).fork(STREAM, from_epoch=epoch, after_seq=after_seq, actor="operator")

    def _common(self) -> int:
        """Up to where both have the same events under the same seqs."""
        sent = {row.seq: row.event_id for row in self._world.sending.table("outbox").values()}
        came = {row.seq: event_id for event_id, row in self._world.receiving.table("inbox").items()}
        came |= {seq: row.event_id for (_, seq), row in self._world.receiving.table("passed").items()}
        seq = 0
        while seq + 1 in sent and sent[seq + 1] == came.get(seq + 1):
            seq += 1
        return seq
