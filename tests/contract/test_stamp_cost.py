"""What a stamp costs: what is stamped already is not visited again, however much of it no vacuum has cleared away."""

import json
from typing import Any

import pytest

from tests.contract.sending import STREAM, leader, stage
from tests.contract.stores import Store, events
from ticketflow.delivery.ledger import Ledger

BATCH = 10
BLOCKS_MAX = 30 * BATCH  # 17 each, measured; 57 each where those that were stamped before are visited


async def blocks_of_a_stamp(store: Store, ledger: Ledger[Any]) -> int:
    """Blocks that one stamp of BATCH events reads, from memory or not."""
    await stage(store, *events("a", BATCH))
    seen = await ledger.state()
    ((lease, token),) = await store.rows("SELECT name, token FROM delivery_lease")
    async with store.pool.transaction() as conn:
        explain = (
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM delivery_stamp_at_once($1, $2, $3, $4, $5, 256)"
        )
        told = await conn.fetchval(explain, lease, token, STREAM, seen.epoch, seen.last_seq)
    root: dict[str, Any] = json.loads(told)[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_stamp_does_not_visit_what_was_stamped_before(store: Store) -> None:
    ledger = await leader(store)

    async def stage_and_stamp(times: int) -> None:
        for _ in range(times):
            await stage(store, *events("a", BATCH))
            assert len((await ledger.stamp()).rows) == BATCH

    await store.do("ALTER TABLE delivery_outbox SET (autovacuum_enabled = off)")
    await stage_and_stamp(50)
    await stage(store, *events("a", 3 * BATCH))
    await store.do("ANALYZE delivery_outbox")  # as it is when much waits: a bitmap scan looks like the best plan
    await ledger.stamp()
    # While somebody may still see what was there before, as a backup does, nothing of it can be marked as gone.
    async with store.pool.acquire() as backup, backup.transaction(isolation="repeatable_read"):
        for _ in range(20):
            await backup.fetchval("SELECT count(*) FROM delivery_outbox")  # who is idle for 2 s is thrown out
            await stage_and_stamp(30)
    await stage_and_stamp(2)
    assert await blocks_of_a_stamp(store, ledger) <= BLOCKS_MAX
