"""The person who is called when a sender finds that it has lost history, and settles it by hand in both stores."""

import asyncio
from typing import TYPE_CHECKING

from tests.simulation.plan import STREAM
from tests.simulation.rows import EPOCH_US, StreamEntry
from ticketflow.feed.limits import SEQ_MAX

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS_EVERY_S = 1.0


class Operator:
    """A fork: what the receiver has beyond the sender's last seq is listed as phantoms, and a new epoch begins."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._called = False
        self._parents: dict[int, tuple[int, int]] = {}  # of an epoch: the one before it, and the last seq it kept of it

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
                    self._settle()
                waited = wrong and not waited

    def _disagree(self) -> bool:
        state = self._world.sending.table("stream").get(STREAM)
        position = self._world.receiving.table("position").get(STREAM)
        if state is None or position is None:
            return False
        return bool(state.epoch != position.epoch or position.watermark > state.last_seq)

    def _settle(self) -> None:
        world = self._world
        state, position = world.sending.table("stream")[STREAM], world.receiving.table("position")[STREAM]
        world.sending.cut_off()
        world.receiving.cut_off()
        common, epoch = self._common(state, position.epoch), EPOCH_US + int(world.loop.time() * 1_000_000)
        self._parents[epoch] = (state.epoch, state.last_seq)
        for event_id, row in world.receiving.table("inbox").items():
            if row.seq is not None and row.seq > common:
                world.receiving.table("phantom")[event_id] = row
        world.sending.table("stream")[STREAM] = state._replace(epoch=epoch)
        watermark = min(position.watermark, common)
        world.receiving.table("position")[STREAM] = position._replace(epoch=epoch, watermark=watermark)
        world.tell("operator", f"a new epoch after {common}; the receiver goes back to {watermark}")

    def _common(self, state: StreamEntry, epoch: int) -> int:
        """Up to where the sender's history and that of ``epoch`` are the same."""
        ours, theirs = self._lineage(state.epoch, state.last_seq), self._lineage(epoch, SEQ_MAX)
        return max((min(upto, theirs[at]) for at, upto in ours.items() if at in theirs), default=0)

    def _lineage(self, epoch: int, upto: int) -> dict[int, int]:
        """Which seqs of which epochs are part of this history: up to and with the one given."""
        found = {epoch: upto}
        while epoch in self._parents:
            epoch, after = self._parents[epoch]
            upto = found[epoch] = min(upto, after)
        return found
