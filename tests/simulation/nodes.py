"""The processes: two that send (a service's replicas, each with a relay), two that receive. All of it product code."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.simulation import listener
from tests.simulation.database import Database
from tests.simulation.fenced import Fenced
from tests.simulation.loop import Process
from tests.simulation.marks import mark_of
from tests.simulation.plan import (
    COUNT_EVERY_S,
    KEYS,
    LEASE_TTL_S,
    LIMITS,
    PATIENCE_S,
    PORT,
    RANGE_SEQS,
    RECOUNT_EVERY_S,
    RETENTION_EVERY_S,
    STREAM,
)
from tests.simulation.rows import AggregateEntry
from tests.simulation.session import Session
from tests.simulation.store import SimulatedStore
from ticketflow.delivery import Inbox, Outbox, Poison, Relays, Retention
from ticketflow.delivery.hole_check import HoleCheck
from ticketflow.events import Envelope, HoldReleased
from ticketflow.feed import Address, FeedServer
from ticketflow.runtime.errors import Indefinite, Unavailable

if TYPE_CHECKING:
    from tests.simulation.world import World


class Node:
    """One replica. ``process`` is replaced at each start; ``drift``: how fast its clock goes."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.process = Process(name, world.loop)
        self.process.alive = False
        self.drift = world.rng.uniform(0.95, 1.05)

    def start(self) -> None:
        self.process = Process(self.name, self.world.loop)
        self.world.tell(self.name, "starts")
        self.begin()

    def begin(self) -> None:
        raise NotImplementedError

    async def drain(self) -> None:
        """End as in a rolling restart."""
        raise NotImplementedError

    def count(self, database: Database, rewound: Callable[[str], None] | None = None) -> None:
        """Look for holes in the background."""
        dialect: Any = self.world.dialect
        store = SimulatedStore(database, self.process)
        check = HoleCheck(
            store, dialect, retention_s=3600, recount_every_s=RECOUNT_EVERY_S, range_seqs=RANGE_SEQS, rewound=rewound
        )

        async def repeat() -> None:
            while True:
                await asyncio.sleep(COUNT_EVERY_S)
                with suppress(Unavailable, Indefinite):
                    await check.run_once()

        if self.world.counts:
            self.process.spawn(repeat())

    def clock(self) -> float:
        return self.world.loop.time() * self.drift


class SendingNode(Node):
    """Writes its aggregates and stages their events, relays when it has the lease, purges what is old."""

    def begin(self) -> None:
        world = self.world
        self.store = SimulatedStore(world.sending, self.process)
        dialect: Any = world.dialect
        self.outbox = Outbox(dialect, STREAM)
        self.relay = Relays(
            self.store,
            dialect,
            stream=STREAM,
            addresses=[Address(node.name, PORT) for node in world.receivers],
            owner=self.name,
            limits=LIMITS,
            lease_ttl_s=LEASE_TTL_S,
            connect=listener.connect,
            clock=self.clock,
        )
        self.outbox.wakes(self.relay.wake)
        self.relaying = self.process.spawn(self.relay.run())
        self.relaying.add_done_callback(lambda task: world.relay_ended(self, task))
        self.process.spawn(self._write())
        self.count(world.sending)
        if world.retention_s is not None:
            self.process.spawn(
                self._purge(Retention(self.store, dialect, streams=[STREAM], retention_s=world.retention_s))
            )

    async def drain(self) -> None:
        self.relaying.cancel()
        with suppress(asyncio.CancelledError):
            await self.relaying

    async def _write(self) -> None:
        world = self.world
        while world.events_left > 0:
            await asyncio.sleep(world.rng.random() * 0.7)
            world.events_left -= 1
            await self._written(world.some_keys())

    async def write_one_of_each(self, keys: Sequence[str] = KEYS) -> None:
        """Until each is committed for certain."""
        for key in keys:
            while not await self._written([key]):  # noqa: ASYNC110 - as a person would try again
                await asyncio.sleep(0.1)

    async def _written(self, keys: Sequence[str]) -> bool:
        """One state change of each of ``keys`` with its event, in one transaction; False when it may not have been."""
        try:
            async with self.store.transaction() as conn:
                events = []
                for key in keys:
                    await conn.statement()
                    await conn.lock("aggregate", key)
                    row = conn.get("aggregate", key) or AggregateEntry(())
                    event = self.world.new_event(key)
                    conn.put("aggregate", key, AggregateEntry((*row.marks, mark_of(event))))
                    events.append(event)
                await self.outbox.stage(conn, events)
        except (Unavailable, Indefinite):
            return False
        self.outbox.notify()
        return True

    async def _purge(self, retention: Retention[Session]) -> None:
        while True:
            await asyncio.sleep(RETENTION_EVERY_S)
            with suppress(Unavailable, Indefinite):
                await retention.run_once()


class ReceivingNode(Node):
    """Applies events to its own aggregates."""

    def begin(self) -> None:
        world = self.world
        dialect: Any = world.dialect
        inbox = Inbox(
            SimulatedStore(world.receiving, self.process),
            dialect,
            stream=STREAM,
            handlers={HoldReleased.kind: self._effect},
            patience_s=PATIENCE_S,
            clock=self.clock,
        )
        self.server = FeedServer(
            Fenced(world.bug.receiver(inbox)),
            host=self.name,
            port=PORT,
            limits=LIMITS,
            name=self.name,
            expected_errors=(OSError, TimeoutError, Unavailable, Indefinite),
        )
        listener.put_on(world.network, self.server)
        self.process.spawn(self.server.start())
        self.count(world.receiving, rewound=self.server.renew)

    async def drain(self) -> None:
        await self.server.drain(2)

    async def _effect(self, conn: Session, envelope: Envelope) -> None:
        """Read, then write: an event that comes twice, or too early, leaves a mark."""
        await conn.statement()
        await conn.lock("effect", envelope.key)
        if self.world.rng.random() < self.world.effect_fails:
            raise Poison("never") if self.world.rng.random() < 0.3 else KeyError("not this time")
        row = conn.get("effect", envelope.key) or AggregateEntry(())
        conn.put("effect", envelope.key, AggregateEntry((*row.marks, mark_of(envelope))))
