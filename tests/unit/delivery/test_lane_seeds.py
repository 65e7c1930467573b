"""Lanes over a store in memory and a bad wire, on a simulated clock: their number changes again and again while relays
and receivers crash and receivers are restored to older states, and each key keeps its order."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
import structlog

from tests.unit.delivery.clock import now, run
from tests.unit.delivery.memory import Tables
from tests.unit.delivery.test_seeds import STREAM, World
from ticketflow.delivery import LaneChange, Relays
from ticketflow.delivery.lanes import lane_of
from ticketflow.events import HoldReleased, decode, payload_of
from ticketflow.feed import Address, Hello, Peer, Position
from ticketflow.runtime.errors import Indefinite, Unavailable

KEYS = "abcd"
SEEDS = 80
NUMBERS = (1, 2, 3, 5, 8)


class LaneWorld(World):
    """Two replicas that share the lanes; one command, now and then, that changes how many there are."""

    def start_relay(self) -> None:
        self.names += 1
        relays = Relays(
            self.sending,
            self.dialect,
            stream=STREAM,
            addresses=[Address("wire", 1)],
            owner=f"relay-{self.names}",
            lease_ttl_s=1.5,
            connect=self.wire.connect,
            clock=now,
        )
        self.relays.append(asyncio.create_task(relays.run()))

    async def change(self) -> None:
        with suppress(Unavailable, Indefinite):
            await LaneChange(self.sending, self.dialect, STREAM).set(self.rng.choice(NUMBERS), actor="test")

    async def live(self) -> None:
        self.start_inbox()
        self.start_relay()
        self.start_relay()
        writing = asyncio.create_task(self.write())
        faults = [
            self.change,
            self.change,
            self.crash_relay,
            self.crash_inbox,
            self.outage_of_sender,
            self.outage_of_receiver,
            self.lose_lease,
            self.copy_receiver,
            self.restore_receiver,
        ]
        while not writing.done():
            await asyncio.sleep(self.rng.random() * 1.5)
            await self.rng.choice(faults)()
        await writing
        self.sending.fault_rate = self.receiving.fault_rate = self.wire.cut_rate = 0.0
        await self.settle()
        await self.stop()

    async def settle(self) -> None:
        """Until all that is staged has had its effect; no fault lasts longer than this."""
        until = now() + 300
        while not self.settled():
            assert now() < until, self.picture()
            await asyncio.sleep(0.1)

    async def lose_lease(self) -> None:
        for name, (owner, token, until) in self.sending.tables.leases.items():
            if until != float("inf"):
                self.sending.tables.leases[name] = (owner, token, 0.0)

    def settled(self) -> bool:
        sent = {
            stream: state.last_seq
            for stream, state in self.sending.tables.streams.items()
            if lane_of(STREAM, stream) and state.last_seq
        }
        received = {name: state.watermark for name, state in self.receiving.tables.inbox_streams.items()}
        acked = {name: state.acked_seq for name, state in self.sending.tables.streams.items()}
        unstamped = any(row.seq is None for row in self.sending.tables.outbox)
        return not unstamped and all(received.get(name) == acked[name] == seq for name, seq in sent.items())

    def picture(self) -> dict[str, Any]:
        return {"sender": self.sending.tables.streams, "receiver": self.receiving.tables.inbox_streams}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_changing_the_lanes_loses_doubles_and_reorders_nothing(seed: int) -> None:
    with structlog.testing.capture_logs():
        world = LaneWorld(seed)
        run(world.live())
    arrived: dict[str, list[str]] = {key: [] for key in KEYS}
    for key, text in world.receiving.tables.effects:
        arrived[key].append(text)
    assert arrived == world.committed
    assert world.receiving.tables.parked == []


class Forgetful:
    """A receiver that stores nothing, as the bridge: it hands on what it gets, repeats included."""

    def __init__(self, rng: random.Random) -> None:
        self.published: list[tuple[str, str]] = []
        self._rng = rng

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return Position(None, None)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        for body in bodies:
            await asyncio.sleep(self._rng.random() * 0.05)
            envelope = decode(body)
            payload = payload_of(envelope)
            if isinstance(payload, HoldReleased):
                self.published.append((envelope.key, payload.hold_id))
        return first_seq + len(bodies) - 1


class ForgetfulWorld(LaneWorld):
    def start_inbox(self) -> None:
        self.wire.inbox = self.bridge  # type: ignore[assignment]

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.bridge = Forgetful(self.rng)

    async def restore_receiver(self) -> None:
        """There is nothing to restore."""

    def settled(self) -> bool:
        states = self.sending.tables.streams.values()
        unstamped = any(row.seq is None for row in self.sending.tables.outbox)
        return not unstamped and all(state.acked_seq == state.last_seq for state in states)


@pytest.mark.parametrize("seed", range(SEEDS // 2))
def test_a_receiver_without_a_memory_gets_each_event_after_the_earlier_ones_of_its_key(seed: int) -> None:
    with structlog.testing.capture_logs():
        world = ForgetfulWorld(seed)
        run(world.live())
    arrived: dict[str, list[str]] = {key: [] for key in KEYS}
    for key, text in world.bridge.published:
        if text not in arrived[key]:
            arrived[key].append(text)
    assert arrived == world.committed


def test_a_restored_receiver_waits_at_the_barrier_for_the_lane_that_lost_history() -> None:
    world = LaneWorld(7)
    world.sending.fault_rate = world.receiving.fault_rate = world.wire.cut_rate = 0.0

    async def story() -> None:
        world.start_inbox()
        world.start_relay()
        await world.write()
        await world.settle()
        await LaneChange(world.sending, world.dialect, STREAM).set(4, actor="test")
        await world.settle()
        async with world.receiving._lock:
            world.receiving.tables = Tables()
        for session in world.wire.sessions:
            if session.stream != STREAM:
                session.cut()  # the new lanes come back first, and lane 0 does not know yet what it lost
        await world.write()
        await world.settle()
        await world.stop()

    with structlog.testing.capture_logs() as logs:
        run(story())
    assert any("waits for" in str(line.get("error")) for line in logs)
    arrived: dict[str, list[str]] = {key: [] for key in KEYS}
    for key, text in world.receiving.tables.effects:
        arrived[key].append(text)
    assert arrived == world.committed
