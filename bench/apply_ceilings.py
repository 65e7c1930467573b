"""What MariaDB stores in the way of billing's rows when nobody decodes, decides or escapes: statements that were made
beforehand, each batch a transaction that is flushed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from bench.apply_events import placed
from ticketflow.events import HoldPlaced, decode, new_id, payload_of
from ticketflow.feed import Limits
from ticketflow.runtime.mariadb import Connection, MariaDBPool
from ticketflow.runtime.mariadb_rows import insert

EVENTS = 4096
BATCH = Limits().batch_events_max

HEADS = {
    "delivery_inbox": "(event_id, stream, seq, event_key)",
    "orders": (
        "(order_id, event_id, event_name, buyer_id, total_minor, currency, placed_at, expires_at, correlation_id)"
    ),
    "order_lines": "(order_id, unit_id, position, tier, label, price_minor)",
    "order_history": "(order_id, code)",
    "delivery_outbox": "(stream, event_id, event_key, kind, body)",
}
Rows = dict[str, list[tuple[Any, ...]]]


async def measure(pool: MariaDBPool, connections: int) -> dict[str, float]:
    """Events/s as multi-row statements and by the driver's executemany."""
    return {
        "multi_row": await _measured(pool, connections, [await _statements(rows) for rows in _batches()]),
        "executemany": await _measured(pool, connections, [list(_many(rows)) for rows in _batches()]),
    }


async def _measured(pool: MariaDBPool, connections: int, batches: Sequence[Sequence[tuple[Any, ...]]]) -> float:
    async def write(some: Sequence[Sequence[tuple[Any, ...]]]) -> None:
        for batch in some:
            async with pool.transaction() as conn:
                for statement in batch:
                    await _execute(conn, *statement)

    began = time.perf_counter()
    await asyncio.gather(*(write(batches[n::connections]) for n in range(connections)))
    return EVENTS / (time.perf_counter() - began)


async def _execute(conn: Connection, statement: str, rows: Sequence[tuple[Any, ...]] = ()) -> None:
    if not rows:
        await conn.ask(statement)
        return
    async with conn.cursor() as cursor:
        await cursor.executemany(statement, rows)


class _Recorder:
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str]] = []

    async def ask(self, statement: str, *_: object) -> None:
        self.said.append((statement,))

    def escape(self, value: object) -> str:
        raise TypeError(f"{value!r} is in no row of these")


async def _statements(rows: Rows) -> list[tuple[str]]:
    recorder = _Recorder()
    for table, some in rows.items():
        await insert(recorder, f"INSERT INTO {table} {HEADS[table]}", some)
    return recorder.said


def _many(rows: Rows) -> list[tuple[Any, ...]]:
    return [
        (f"INSERT INTO {table} {HEADS[table]} VALUES ({', '.join(['%s'] * len(some[0]))})", some)  # noqa: S608
        for table, some in rows.items()
    ]


def _batches() -> list[Rows]:
    bodies = placed(EVENTS)
    return [_rows(bodies[start : start + BATCH]) for start in range(0, EVENTS, BATCH)]


def _rows(bodies: Sequence[bytes]) -> Rows:
    rows: Rows = {table: [] for table in HEADS}
    for seq, body in enumerate(bodies):
        envelope = decode(body)
        hold = payload_of(envelope)
        assert isinstance(hold, HoldPlaced)
        at = "2026-01-01 12:00:00.123456"
        order = (hold.hold_id, hold.event_id, hold.event_name, hold.buyer_id, hold.total_minor, hold.currency)
        rows["delivery_inbox"].append((envelope.id, "ceiling", seq, envelope.key))
        rows["orders"].append((*order, at, at, envelope.correlation_id))
        rows["order_lines"] += [
            (hold.hold_id, line.unit_id, n, line.tier, line.label, line.price_minor)
            for n, line in enumerate(hold.lines)
        ]
        rows["order_history"].append((hold.hold_id, "order_pending"))
        rows["delivery_outbox"].append(("ceiling", new_id(), hold.hold_id, "order.pending", body))
    return rows
