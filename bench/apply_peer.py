"""The peer of goal `apply`: the same rows by aiomysql itself, as one writes it who has a driver and an event to apply.

A pool with a connection for each stream, ordinary cursors, no autocommit; each event is decoded, and is a transaction
of its own: dedup key, order, lines, history, the event for the portal, the position, COMMIT. One statement for each,
and the lines by executemany, which aiomysql sends as one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiomysql

from billing.store.times import of_us
from tests.support.databases import Database
from ticketflow.events import Envelope, HoldPlaced, OrderPending, decode, encode, envelope_for, payload_of

SESSION = "SET SESSION tx_isolation = 'READ-COMMITTED', time_zone = '+00:00'"
OUTBOX = "billing"

Cursor = Any  # aiomysql has no types


class Peer:
    """Applies events of ``streams`` streams, each on a connection of its own."""

    def __init__(self, pool: Any, streams: int) -> None:
        self._pool = pool
        self._seqs = dict.fromkeys((f"peer-{number}" for number in range(streams)), 0)

    async def greet(self) -> None:
        async with self._pool.acquire() as conn, conn.cursor() as cursor:
            for stream in self._seqs:
                await cursor.execute(
                    "INSERT INTO delivery_inbox_stream (stream, epoch, fence) VALUES (%s, 1, 1)", (stream,)
                )
            await conn.commit()

    async def take(self, bodies: Sequence[bytes]) -> None:
        count = len(self._seqs)
        await asyncio.gather(*(self._stream(name, bodies[n::count]) for n, name in enumerate(self._seqs)))

    async def _stream(self, stream: str, bodies: Sequence[bytes]) -> None:
        async with self._pool.acquire() as conn, conn.cursor() as cursor:
            for body in bodies:
                self._seqs[stream] += 1
                await apply(cursor, stream, self._seqs[stream], decode(body))
                await conn.commit()


async def apply(cursor: Cursor, stream: str, seq: int, envelope: Envelope) -> None:
    """All that belongs to one event, but for COMMIT."""
    known = not await cursor.execute(
        "INSERT IGNORE INTO delivery_inbox (event_id, stream, seq, event_key) VALUES (%s, %s, %s, %s)",
        (envelope.id, stream, seq, envelope.key),
    )
    if not known:
        hold = payload_of(envelope)
        assert isinstance(hold, HoldPlaced)
        await order(cursor, hold, envelope.correlation_id)
    moved = await cursor.execute(
        "UPDATE delivery_inbox_stream SET watermark = %s WHERE stream = %s AND watermark = %s", (seq, stream, seq - 1)
    )
    if not moved:
        raise AssertionError(f"{stream} does not stand at {seq - 1}")


async def order(cursor: Cursor, hold: HoldPlaced, correlation_id: str) -> None:
    await cursor.execute(
        "INSERT INTO orders (order_id, event_id, event_name, buyer_id, total_minor, currency, placed_at, expires_at,"
        " correlation_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            hold.hold_id,
            hold.event_id,
            hold.event_name,
            hold.buyer_id,
            hold.total_minor,
            hold.currency,
            of_us(hold.placed_at_us),
            of_us(hold.expires_at_us),
            correlation_id,
        ),
    )
    await cursor.executemany(
        "INSERT INTO order_lines (order_id, unit_id, position, tier, label, price_minor)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [
            (hold.hold_id, line.unit_id, position, line.tier, line.label, line.price_minor)
            for position, line in enumerate(hold.lines)
        ],
    )
    await cursor.execute("INSERT INTO order_history (order_id, code) VALUES (%s, %s)", (hold.hold_id, "order_pending"))
    told = envelope_for(pending(hold), key=hold.hold_id, correlation_id=correlation_id)
    await cursor.execute(
        "INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body) VALUES (%s, %s, %s, %s, %s)",
        (OUTBOX, told.id, told.key, told.kind, encode(told)),
    )


def pending(hold: HoldPlaced) -> OrderPending:
    return OrderPending(
        order_id=hold.hold_id,
        event_id=hold.event_id,
        event_name=hold.event_name,
        buyer_id=hold.buyer_id,
        currency=hold.currency,
        total_minor=hold.total_minor,
        lines=hold.lines,
        expires_at_us=hold.expires_at_us,
    )


@contextlib.asynccontextmanager
async def opened(database: Database, streams: int) -> AsyncIterator[Peer]:
    """With its streams, over a database that is migrated."""
    pool = await aiomysql.create_pool(
        minsize=streams,
        maxsize=streams,
        host=database.host,
        port=database.port,
        db=database.name,
        user=database.user,
        password=database.password,
        charset="utf8mb4",
        init_command=SESSION,
    )
    try:
        peer = Peer(pool, streams)
        await peer.greet()
        yield peer
    finally:
        pool.close()
        await pool.wait_closed()
