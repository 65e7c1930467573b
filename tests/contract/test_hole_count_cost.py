"""What counting costs: an index alone is read, without a lock."""

import time
from typing import Any

import pytest

from tests.contract.receiving import STREAM
from tests.contract.stores import Store
from ticketflow.delivery.dialect_history import Side
from ticketflow.delivery.hole_check import RANGE_SEQS
from ticketflow.delivery.mariadb_history import COUNT as MARIADB_COUNT
from ticketflow.delivery.postgres_history import COUNT as POSTGRES_COUNT

EVENTS = 100_000
TABLES: dict[Side, str] = {"in": "delivery_inbox", "out": "delivery_outbox"}
NUMBERS = {"postgres": f"generate_series(1, {EVENTS}) AS numbers (seq)", "mariadb": f"seq_1_to_{EVENTS} AS numbers"}
ANY_ID = {"postgres": "gen_random_uuid()", "mariadb": "UUID()"}


async def fill(store: Store, side: Side) -> None:
    """As many events as a busy stream has in an hour or two."""
    columns = {"in": "event_id, stream, seq, event_key", "out": "event_id, stream, seq, event_key, kind, body"}[side]
    values = f"{ANY_ID[store.name]}, '{STREAM}', seq, 'key'" + (", 'kind', '0123456789'" if side == "out" else "")
    await store.do(f"INSERT INTO {TABLES[side]} ({columns}) SELECT {values} FROM {NUMBERS[store.name]}")
    if store.name == "postgres":
        async with store.pool.acquire() as conn:
            await conn.execute(f"VACUUM ANALYZE {TABLES[side]}")
    else:
        await store.rows(f"ANALYZE TABLE {TABLES[side]}")


async def plan_of(store: Store, side: Side) -> list[tuple[Any, ...]]:
    span = (STREAM, EVENTS - RANGE_SEQS + 1, EVENTS)
    if store.name == "postgres":
        async with store.pool.transaction() as conn:
            rows = await conn.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {POSTGRES_COUNT[side]}", *span)
            return [tuple(row) for row in rows]
    return await store.rows(f"EXPLAIN {MARIADB_COUNT[side]}", *(span if side == "out" else span * 2))


@pytest.mark.parametrize("side", ["in", "out"])
async def test_counting_a_range_reads_an_index_alone(store: Store, side: Side) -> None:
    await fill(store, side)
    plan = await plan_of(store, side)
    if store.name == "postgres":
        text = "\n".join(row[0] for row in plan)
        assert f"Index Only Scan using {TABLES[side]}_seq" in text
        assert "Seq Scan" not in text.replace("Seq Scan on delivery_passed", "")  # that one is empty here
        assert "Heap Fetches: 0" in text
    else:
        assert all("Using index" in row[-1] for row in plan if row[2] is not None), plan

    began = time.perf_counter()
    async with store.pool.transaction() as conn:
        for first in range(1, EVENTS, RANGE_SEQS):
            last = first + RANGE_SEQS - 1
            assert await store.dialect.count_seqs(conn, side, STREAM, first, last) == RANGE_SEQS
    print(f"{store.name}, {TABLES[side]}: {EVENTS} events counted in {(time.perf_counter() - began) * 1000:.0f} ms")
