"""Lanes by hand, and both ends with lanes over a real feed."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.contract.delivering import LEASE_TTL_S, QUICK, Delivery
from tests.contract.sending import STREAM
from tests.contract.stores import Store
from ticketflow.delivery import Handler, Lane, LaneChange, Relays
from ticketflow.delivery.lanes_barrier import KIND
from ticketflow.delivery.lease import Lease
from ticketflow.delivery.ledger import Ledger
from ticketflow.feed import Address, SenderSession, connect
from ticketflow.runtime.retry import retrying

POSITIONS = "delivery_inbox_stream"
RESTORED = ("effects", "delivery_inbox", POSITIONS)
SENT = ("delivery_outbox", "delivery_stream", "delivery_lane_barrier")


async def set_lanes(store: Store, lanes: int, stream: str = STREAM) -> bool:
    return await LaneChange(store.pool, store.dialect, stream).set(lanes, actor="test")


async def lane_leader(store: Store, number: int, lanes: int, owner: str = "one") -> Ledger[Any]:
    """The bookkeeping of a relay that holds the lane's lease, as it is when there are ``lanes``."""
    lane = Lane(STREAM, number)
    lease = Lease(store.pool, store.dialect, name=lane.lease(lanes), owner=owner, ttl_s=30)
    assert await lease.acquire()
    ledger = Ledger(store.pool, store.dialect, lane.stream, lease, lane)
    await ledger.state()
    return ledger


async def read_in_any_order(store: Store, rng: random.Random) -> list[str]:
    """The event ids of all lanes as a receiver might get them that keeps to the barriers and to nothing else."""
    lanes: dict[str, list[tuple[int, str, str]]] = {}
    sql = "SELECT stream, seq, event_id, kind FROM delivery_outbox WHERE seq IS NOT NULL ORDER BY seq"
    for stream, seq, event_id, kind in await store.rows(sql):
        lanes.setdefault(stream, []).append((seq, str(event_id), kind))
    requires = {
        (row[0], row[1]): json.loads(row[2])
        for row in await store.rows("SELECT stream, seq, requires FROM delivery_lane_barrier")
    }
    at: dict[str, int] = dict.fromkeys(lanes, 0)
    taken: list[str] = []
    while any(at[stream] < len(rows) for stream, rows in lanes.items()):
        ready = [
            stream
            for stream, rows in lanes.items()
            if at[stream] < len(rows)
            and all(at.get(other, 0) >= seq for other, seq in requires.get((stream, at[stream] + 1), {}).items())
        ]
        assert ready, "barriers wait for each other"
        stream = rng.choice(ready)
        seq, event_id, kind = lanes[stream][at[stream]]
        assert seq == at[stream] + 1
        at[stream] += 1
        if kind != KIND:
            taken.append(event_id)
    return taken


class LaneDelivery(Delivery):
    """Both ends; the sending one has a replica of the service, or two."""

    def __init__(self, sending: Store, receiving: Store, handler: Handler[Any] | None = None) -> None:
        super().__init__(sending, receiving, handler)
        self.replicas: dict[str, tuple[Relays[Any], asyncio.Task[Any]]] = {}
        self._copied = False

    def start_replica(self, owner: str) -> Relays[Any]:
        relays: Relays[Any] = Relays(
            self.sending.pool,
            self.sending.dialect,
            stream=STREAM,
            addresses=[Address("127.0.0.1", self.port)],
            owner=owner,
            limits=QUICK,
            lease_ttl_s=LEASE_TTL_S,
            connect=self._connect,
        )
        self.replicas[owner] = relays, asyncio.create_task(relays.run())
        return relays

    async def stop_replica(self, owner: str) -> None:
        _, task = self.replicas.pop(owner)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def crash_replicas(self) -> None:
        """Every session is cut and every connection to the store dies; then all are there again under new names."""
        self.cut()
        await self.sending.kill_connections()
        owners = list(self.replicas)
        for owner in owners:
            await self.stop_replica(owner)
        for owner in owners:
            self._starts += 1
            self.start_replica(f"{owner.split('-')[0]}-{self._starts}")

    def cut(self) -> None:
        """Every session."""
        for session in self.sessions:
            session.abort()

    async def lanes_delivered(self, count: int) -> bool:
        """Whether ``count`` events are applied, all is acknowledged, and nothing waits; else raises what is missing."""
        unstamped = await self.sending.rows("SELECT COUNT(*) FROM delivery_outbox WHERE seq IS NULL")
        sent = await self.sending.rows("SELECT stream, last_seq, acked_seq FROM delivery_stream")
        got = dict(await self.receiving.rows("SELECT stream, watermark FROM delivery_inbox_stream"))
        behind = [(stream, last, acked, got.get(stream)) for stream, last, acked in sent if last]
        effects = len(await self.receiving.effects())
        delivered = all(last == acked == there for _, last, acked, there in behind)
        if unstamped[0][0] or not delivered or effects != count:
            raise AssertionError(
                f"{effects} effects of {count}, {unstamped[0][0]} events not stamped; (stream, last, acked, watermark):"
                f" {behind}"
            )
        return True

    async def copy_receiver(self) -> None:
        """Keep what the receiving store has now."""
        if not self._copied:
            for table in RESTORED:
                await self.receiving.do(f"CREATE TABLE older_{table} AS SELECT * FROM {table} WHERE 1 = 0")
        self._copied = True
        await self._replace(self.receiving, POSITIONS, [(f"older_{table}", table) for table in RESTORED])

    async def restore_receiver(self) -> None:
        """The receiving store has what it had then."""
        await self._replace(self.receiving, POSITIONS, [(table, f"older_{table}") for table in RESTORED])

    async def copy_sender(self) -> None:
        """Keep what the sending store has now; once."""
        for table in SENT:
            await self.sending.do(f"CREATE TABLE older_{table} AS SELECT * FROM {table}")

    async def restore_sender(self) -> None:
        """The sending store has what it had then; nobody may relay."""
        await self._replace(self.sending, "delivery_stream", [(table, f"older_{table}") for table in SENT])

    async def _replace(self, store: Store, positions: str, pairs: Sequence[tuple[str, str]]) -> None:
        """All of one moment: an inbox changes its position last, and under its lock."""

        async def attempt() -> None:
            async with store.pool.transaction() as conn:
                await store.run(conn, f"SELECT 1 FROM {positions} FOR UPDATE")
                for to, of in pairs:
                    await store.run(conn, f"DELETE FROM {to}")
                    await store.run(conn, f"INSERT INTO {to} SELECT * FROM {of}")

        await retrying(attempt)

    async def _connect(self, *arguments: Any, **settings: Any) -> SenderSession:
        session = await connect(*arguments, **settings)
        self.sessions = [one for one in self.sessions if not one.closed.is_set()] + [session]
        return session


@asynccontextmanager
async def lane_delivery(
    ends: tuple[Store, Store], replicas: Sequence[str] = ("a",), handler: Handler[Any] | None = None
) -> AsyncIterator[LaneDelivery]:
    """Both ends up."""
    both = LaneDelivery(*ends, handler)
    await both.start_receiver()
    for owner in replicas:
        both.start_replica(owner)
    try:
        yield both
    finally:
        for owner in list(both.replicas):
            await both.stop_replica(owner)
        await both.stop_receiver()
