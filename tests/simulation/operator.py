"""The person at the services' commands: changes the number of lanes, and is called when the two ends do not know what
they share."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.simulation.loop import Process
from tests.simulation.plan import OPERATOR, STREAM
from tests.simulation.rows import StreamEntry
from tests.simulation.store import SimulatedStore
from ticketflow.delivery import LaneChange
from ticketflow.delivery.history import StreamHistory
from ticketflow.delivery.lanes import lane_of, numbered
from ticketflow.runtime.errors import Indefinite, Unavailable

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOKS_EVERY_S = 1.0

Command = Callable[[SimulatedStore, Any], Coroutine[Any, Any, object]]


class Operator:
    """What the two share he finds out by comparing the rows of both stores, as a person would."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._called = False

    def called(self) -> None:
        self._called = True

    def unsettled(self) -> str:
        """What he has left to do; empty for nothing."""
        apart = self._apart() if self._called else []
        return f"the operator has yet to see to {', '.join(apart)}" if apart else ""

    async def attend(self) -> None:
        """Once called, look again and again: the product says it in a log line once, then in a metric."""
        before: set[str] = set()
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            if self._called and self._world.sending.up and self._world.receiving.up:
                apart = self._apart()
                await self._settle([stream for stream in apart if stream in before])
                before = set(apart) - before

    async def _settle(self, apart: list[str]) -> None:
        """A lane that is not at work, or that the sender has forgotten, must be at work before anything is found."""
        lanes, wanted = self._lanes(), [lane.number + 1 for lane in numbered(STREAM, apart)]
        if max(wanted, default=0) > lanes:
            await self.set_lanes(max(wanted))
            return
        for stream in apart:
            position = self._world.receiving.table("position").get(stream)
            state = self._world.sending.table("stream").get(stream)  # either may be restored while he types
            if position is not None and state is not None and position.epoch < state.epoch:
                await self._fork(stream)

    async def set_lanes(self, lanes: int) -> None:
        """`lanes set N`."""
        self._world.tell(OPERATOR, f"sets the number of lanes to {lanes}")
        await self._type(lambda store, dialect: LaneChange(store, dialect, STREAM).set(lanes, actor=OPERATOR))

    def _apart(self) -> list[str]:
        """The streams whose receiver does not know what it shares with the sender, or has more than that and no relay
        to tell it."""
        states: dict[str, StreamEntry] = self._world.sending.table("stream")
        found = []
        for stream, position in self._world.receiving.table("position").items():
            state = states.get(stream)
            if state is None:
                apart = position.watermark > 0
            else:
                lane = lane_of(STREAM, stream)
                idle = lane is not None and lane.number >= self._lanes()
                apart = position.epoch < state.epoch or (idle and position.watermark > state.last_seq)
            if apart:
                found.append(stream)
        return found

    def _lanes(self) -> int:
        state: StreamEntry | None = self._world.sending.table("stream").get(STREAM)
        return 1 if state is None else state.lanes

    async def _fork(self, stream: str) -> None:
        epoch, after_seq = self._world.receiving.table("position")[stream].epoch, self._common(stream)
        self._world.tell(OPERATOR, f"forks {stream} from epoch {epoch} after {after_seq}")
        await self._type(
            lambda store, dialect: StreamHistory(store, dialect).fork(
                stream, from_epoch=epoch, after_seq=after_seq, actor=OPERATOR
            )
        )

    def _common(self, stream: str) -> int:
        """Up to where both have the same events under the same seqs."""
        outbox, inbox = self._world.sending.table("outbox"), self._world.receiving.table("inbox")
        sent = {row.seq: row.event_id for row in outbox.values() if row.stream == stream}
        came = {row.seq: event_id for event_id, row in inbox.items() if row.stream == stream}
        passed = self._world.receiving.table("passed").items()
        came |= {seq: row.event_id for (of, seq), row in passed if of == stream}
        seq = 0
        while seq + 1 in sent and sent[seq + 1] == came.get(seq + 1):
            seq += 1
        return seq

    async def _type(self, command: Command) -> None:
        """Until it has said something, or was killed."""
        process = Process(OPERATOR, self._world.loop)
        dialect: Any = self._world.dialect
        task = process.spawn(command(SimulatedStore(self._world.sending, process), dialect))
        while process.alive and not task.done():  # noqa: ASYNC110 - simulated time costs nothing
            await asyncio.sleep(0.1)
        if task.done():
            with suppress(Unavailable, Indefinite):
                task.result()
