"""Relay and inbox over a store in memory and a bad wire, on a simulated clock: whatever happens, each event has its
effect once and in the order of its key, and once the faults stop, everything arrives."""

import asyncio
import copy
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import structlog

from tests.unit.delivery.clock import now, run
from tests.unit.delivery.memory import MemoryDialect, MemoryPool, Tables
from tests.unit.delivery.wire import Wire
from ticketflow.delivery import Inbox, Outbox, Relay, jitter
from ticketflow.delivery.pump import RECHECK_S
from ticketflow.events import Envelope, HoldReleased, encode, envelope_for, payload_of
from ticketflow.feed import Address

STREAM = "orders"
KEYS = "abcd"
SEEDS = 120


class World:
    """Two stores, two relays that contend for one lease, one inbox, and a wire between them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        random.seed(seed)  # runtime's pauses between retries
        jitter.rng.seed(seed)
        self.sending = MemoryPool(self.rng, fault_rate=0.1)
        self.receiving = MemoryPool(self.rng, fault_rate=0.1)
        self.wire = Wire(self.rng, cut_rate=0.1)
        self.dialect = MemoryDialect()
        self.outbox = Outbox(self.dialect, STREAM)
        self.committed: dict[str, list[str]] = {key: [] for key in KEYS}
        self.relays: list[asyncio.Task[Any]] = []
        self.older: Tables | None = None
        self.names = 0

    # -- the two ends

    def start_relay(self) -> None:
        self.names += 1
        relay = Relay(
            self.sending,
            self.dialect,
            stream=STREAM,
            addresses=[Address("wire", 1)],
            owner=f"relay-{self.names}",
            lease_ttl_s=1.5,
            connect=self.wire.connect,  # type: ignore[arg-type]
            clock=now,
        )
        self.relays.append(asyncio.create_task(relay.run()))

    def start_inbox(self) -> None:
        handlers = {HoldReleased.kind: self.effect}
        self.wire.inbox = Inbox(self.receiving, self.dialect, stream=STREAM, handlers=handlers, patience_s=3, clock=now)

    async def effect(self, conn: Tables, envelope: Envelope) -> None:
        payload = payload_of(envelope)
        assert isinstance(payload, HoldReleased)
        conn.effects.append((envelope.key, payload.hold_id))

    async def write(self) -> None:
        for n in range(40):
            key = self.rng.choice(KEYS)
            staged = envelope_for(HoldReleased(hold_id=f"{key}-{n}"), key=key, correlation_id="c")
            with suppress(Exception):
                async with self.sending.transaction() as conn:
                    await self.outbox.stage(conn, [staged])
            if encode(staged) in [row.staged.body for row in self.sending.tables.outbox]:
                self.committed[key].append(f"{key}-{n}")
            await asyncio.sleep(self.rng.random() * 0.3)

    # -- what may happen to them

    async def crash_relay(self) -> None:
        task = self.relays.pop(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.start_relay()

    async def crash_inbox(self) -> None:
        for session in self.wire.sessions:
            session.cut()
            session._task.cancel()
        self.wire.inbox = None
        await asyncio.sleep(self.rng.random())
        self.start_inbox()

    async def outage_of_sender(self) -> None:
        await self._outage(self.sending)

    async def outage_of_receiver(self) -> None:
        await self._outage(self.receiving)

    async def lose_lease(self) -> None:
        for name, (owner, token, _) in self.sending.tables.leases.items():
            self.sending.tables.leases[name] = (owner, token, 0.0)

    async def copy_receiver(self) -> None:
        self.older = copy.deepcopy(self.receiving.tables)

    async def restore_receiver(self) -> None:
        async with self.receiving._lock:
            if self.older is not None:
                self.receiving.tables = copy.deepcopy(self.older)

    async def _outage(self, pool: MemoryPool) -> None:
        pool.down = True
        await asyncio.sleep(self.rng.random() * 5)
        pool.down = False

    # -- the story

    async def live(self) -> None:
        self.start_inbox()
        self.start_relay()
        self.start_relay()
        writing = asyncio.create_task(self.write())
        faults: list[Callable[[], Awaitable[None]]] = [
            self.crash_relay,
            self.crash_inbox,
            self.outage_of_sender,
            self.outage_of_receiver,
            self.lose_lease,
            self.copy_receiver,
            self.restore_receiver,
        ]
        while not writing.done():
            await asyncio.sleep(self.rng.random() * 2)
            await self.rng.choice(faults)()
        await writing
        self.sending.fault_rate = self.receiving.fault_rate = self.wire.cut_rate = 0.0
        healed_at = now()
        while not self.settled():
            assert all(not relay.done() for relay in self.relays), "a relay gave up"
            assert now() < healed_at + 120, "no progress after healing"
            await asyncio.sleep(0.5)
        await self.stop()

    async def stop(self) -> None:
        """Both relays end as in a drain; anything but a cancellation is theirs to explain."""
        for relay in self.relays:
            relay.cancel()
        for relay in self.relays:
            with suppress(asyncio.CancelledError):
                await relay

    def settled(self) -> bool:
        count = sum(map(len, self.committed.values()))
        state = self.sending.tables.streams.get(STREAM)
        received = self.receiving.tables.inbox_streams.get(STREAM)
        return (
            state is not None and received is not None and state[1:3] == (count, count) == (count, received.watermark)
        )


def test_a_restore_that_nobody_noticed_is_found_although_nothing_is_sent() -> None:
    world = World(0)
    world.sending.fault_rate = world.receiving.fault_rate = world.wire.cut_rate = 0.0

    async def story() -> None:
        world.start_inbox()
        world.start_relay()
        await world.write()
        while not world.settled():
            assert now() < 60
            await asyncio.sleep(0.1)
        async with world.receiving._lock:
            world.receiving.tables = Tables()
        assert not world.settled()
        restored_at = now()
        while not world.settled():
            assert now() < restored_at + 2 * RECHECK_S
            await asyncio.sleep(0.1)
        await world.stop()

    with structlog.testing.capture_logs():
        run(story())
    assert len(world.receiving.tables.effects) == 40


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_lost_doubled_or_reordered(seed: int) -> None:
    with structlog.testing.capture_logs():
        world = World(seed)
        run(world.live())
    arrived: dict[str, list[str]] = {key: [] for key in KEYS}
    for key, text in world.receiving.tables.effects:
        arrived[key].append(text)
    assert arrived == world.committed
    assert world.receiving.tables.parked == []
