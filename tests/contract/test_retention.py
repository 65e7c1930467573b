"""Retention: what is old and settled goes, everything else stays."""

from typing import Any

from tests.contract.receiving import bodies, greeted, hello
from tests.contract.sending import STREAM, leader, stage
from tests.contract.stores import Store, events
from ticketflow.delivery import Retention

DAY_S = 24 * 3600


async def age(store: Store, table: str, column: str, days: int, where: str = "1 = 1") -> None:
    interval = f"interval '{days} days'" if store.name == "postgres" else f"INTERVAL {days} DAY"
    await store.do(f"UPDATE {table} SET {column} = {column} - {interval} WHERE {where}")


def retention(store: Store, **settings: Any) -> Retention[Any]:
    return Retention(store.pool, store.dialect, streams=[STREAM, "never-used"], **settings)


async def test_unacknowledged_rows_stay_however_old_they_are(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 4))
    await ledger.stamp(rows_max=3)
    await ledger.mark_acked(2)
    await age(store, "delivery_outbox", "created_at", 30)
    assert await retention(store).run_once() == 2
    assert await store.seqs(STREAM) == [3, None]
    assert await retention(store).run_once() == 0


async def test_young_rows_stay_although_they_are_acknowledged(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 3))
    await ledger.stamp()
    await ledger.mark_acked(3)
    await age(store, "delivery_outbox", "created_at", 6)
    assert await retention(store).run_once() == 0
    assert await retention(store, retention_s=5 * DAY_S).run_once() == 3


async def test_what_is_kept_is_one_run_without_a_hole(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 4))
    await ledger.stamp()
    await ledger.mark_acked(4)
    await age(store, "delivery_outbox", "created_at", 30, "seq <> 2")
    assert await retention(store).run_once() == 1
    assert await store.seqs(STREAM) == [2, 3, 4]


async def test_batches_are_bounded(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 5))
    await ledger.stamp()
    await ledger.mark_acked(5)
    await age(store, "delivery_outbox", "created_at", 30)
    purge = retention(store, batch_rows=2)
    assert [await purge.run_once() for _ in range(4)] == [2, 2, 1, 0]


async def test_dedup_keys_stay_twice_as_long(store: Store) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies(events("a", 2)))
    await age(store, "delivery_inbox", "received_at", 13)
    assert await retention(store).run_once() == 0
    await age(store, "delivery_inbox", "received_at", 2, "seq = 1")
    assert await retention(store).run_once() == 1
