"""What happens to the processes, the databases and the network: faults that begin at random moments and overlap."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from tests.simulation.checkers import Place
from tests.simulation.database import Database, Tables
from tests.simulation.marks import mark_of_id
from tests.simulation.plan import LANES
from ticketflow.delivery.lanes import LEASE_BLOCKER

if TYPE_CHECKING:
    from tests.simulation.nodes import Node
    from tests.simulation.transport import End
    from tests.simulation.world import World

Fault = Callable[[], Awaitable[None]]
PAUSE_S_MAX = 5.0  # between two faults of a kind
SNAPSHOT_S_MAX = 1.5  # fresh copies are the tricky ones: what is restored looks almost right


class Nemesis:
    """Each fault is a coroutine that begins it, waits, and ends it."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._rng = world.rng
        self._snapshots: dict[str, list[tuple[float, tuple[Tables, int]]]] = {}

    def faults(self) -> dict[str, Fault]:
        world = self.world
        senders, receivers = world.senders, world.receivers
        return {
            "kill a sender": lambda: self._kill(senders),
            "kill a receiver": lambda: self._kill(receivers),
            "drain a sender": lambda: self._drain(senders),
            "drain a receiver": lambda: self._drain(receivers),
            "stop a sender": lambda: self._stop(senders),
            "stop a receiver": lambda: self._stop(receivers),
            "outage of the sending store": lambda: self._outage(world.sending),
            "outage of the receiving store": lambda: self._outage(world.receiving),
            "lose the lease": self._lose_lease,
            "change the number of lanes": self._change_lanes,
            "partition": self._partition,
            "stall a direction": self._stall,
            "mute a direction": self._mute,
            "cut a connection": self._cut,
            "sender loses history": self._sender_loses_history,
            "receiver loses history": self._receiver_loses_history,
            "the receiver's history gets a hole": self._punch,
        }

    async def repeat(self, fault: Fault) -> None:
        """For ever; to be cancelled only between two faults."""
        while True:
            await asyncio.sleep(self._rng.random() * PAUSE_S_MAX)
            await asyncio.shield(self.world.in_progress(fault()))

    async def take_snapshots(self) -> None:
        """Of both stores, now and then; the last three are kept."""
        while True:
            await asyncio.sleep(self._rng.random() * 4)
            for database in (self.world.sending, self.world.receiving):
                kept = self._snapshots.setdefault(database.name, [])
                kept.append((self.world.loop.time(), database.snapshot()))
                del kept[:-3]

    # -- processes

    async def _kill(self, nodes: "Sequence[Node]") -> None:
        self.world.kill(self._rng.choice(nodes))

    async def _drain(self, nodes: "Sequence[Node]") -> None:
        node = self._rng.choice(nodes)
        process = node.process
        if process.runs:
            self.world.tell(node.name, "drains")
            task = process.spawn(node.drain())
            await asyncio.wait((task,), timeout=4)  # a service that does not end is killed
            if node.process is process:
                self.world.kill(node, "ends")

    async def _stop(self, nodes: "Sequence[Node]") -> None:
        for_s = self._rng.choice((0.3, 1.0, 3.0, 6.0))
        self.world.stop_for(self._rng.choice(nodes).process, for_s)
        await asyncio.sleep(for_s)

    # -- stores

    async def _outage(self, database: Database) -> None:
        self._down(database)
        await asyncio.sleep(self._rng.random() * SNAPSHOT_S_MAX)
        self._up(database)

    async def _lose_lease(self) -> None:
        for name, lease in self.world.sending.table("lease").items():
            if lease.owner == LEASE_BLOCKER:
                continue
            self.world.tell("nemesis", f"the lease of {lease.owner} runs out")
            self.world.sending.table("lease")[name] = lease._replace(expires_at=0.0)

    async def _change_lanes(self) -> None:
        """No fault at all: what a person may do at any time."""
        await self.world.operator.set_lanes(self._rng.choice(LANES))

    async def _receiver_loses_history(self) -> None:
        await self._restore(self.world.receiving)

    async def _sender_loses_history(self) -> None:
        await self._restore(self.world.sending, self.world.forget)

    async def _restore(self, database: Database, before: Callable[[Tables], None] = lambda _older: None) -> None:
        kept = self._snapshots.get(database.name)
        if not kept or not database.up:
            return
        at, snapshot = self._rng.choice(kept)
        self._down(database)
        await asyncio.sleep(self._rng.choice((0.0, 0.5, 2.0)))
        before(snapshot[0])
        database.restore(snapshot)
        kept[:] = [(taken_at, other) for taken_at, other in kept if taken_at <= at]  # the others never happened
        self.world.tell(database.name, f"is restored to what it was at {at:.4f}")
        self._up(database)

    async def _punch(self) -> None:
        """The newest effect on a key is gone, and its dedup key with it."""
        database = self.world.receiving
        rows = {mark_of_id(event_id): event_id for event_id in database.table("inbox")}
        keys = [
            key
            for key, row in database.table("effect").items()
            if row.marks and rows.get(row.marks[-1]) and database.table("inbox")[rows[row.marks[-1]]].seq is not None
        ]
        if not keys or not database.up:
            return
        key = self._rng.choice(keys)
        row = database.table("effect")[key]
        event_id = rows[row.marks[-1]]
        if any(database.is_locked("position", stream) for stream in database.table("position")):
            return  # a batch is being applied: what it has read of these rows, it would write again
        stream, seq, _ = database.table("inbox").pop(event_id)
        database.table("effect")[key] = row._replace(marks=row.marks[:-1])
        self.world.checkers.punched[row.marks[-1]] = Place(stream, seq)
        self.world.tell(database.name, f"has lost the rows of {row.marks[-1]}, seq {seq} of {stream}, key {key}")

    def _down(self, database: Database) -> None:
        self.world.tell(database.name, "goes down")
        database.up = False
        database.cut_off()

    def _up(self, database: Database) -> None:
        self.world.tell(database.name, "is up")
        database.up = True

    # -- network

    async def _partition(self) -> None:
        world = self.world
        one, other = self._rng.choice(world.senders), self._rng.choice(world.receivers)
        for_s = self._rng.random() * 5
        world.tell("network", f"no way between {one.name} and {other.name} for {for_s:.2f} s")
        world.network.block(one.name, other.name, world.loop.time() + for_s)
        await asyncio.sleep(for_s)

    async def _stall(self) -> None:
        for end in self._some_end():
            for_s = self._rng.random() * 6
            end.stalled_until = self.world.loop.time() + for_s
            self.world.tell("network", f"{end.label} is late by {for_s:.2f} s from {end.process.name}")

    async def _mute(self) -> None:
        for end in self._some_end():
            end.muted = True
            self.world.tell("network", f"{end.label} is mute from {end.process.name}")

    async def _cut(self) -> None:
        for end in self._some_end():
            self.world.tell("network", f"{end.label} is cut")
            self.world.network.cut(end)

    def _some_end(self) -> "list[End]":
        ends = list(self.world.network.ends)
        return [self._rng.choice(ends)] if ends else []
