"""Counting and filling where a stream has several lanes: each lane by itself, barriers included."""

from typing import Any

from tests.contract.lanes import lane_delivery, set_lanes
from tests.contract.receiving import STREAM
from tests.contract.sending import stage
from tests.contract.stores import Store, event, keys_in_order
from tests.support.waiting import wait_until
from ticketflow.delivery import HoleCheck
from ticketflow.delivery.lanes_barrier import KIND

Ends = tuple[Store, Store]
KEYS = [f"key-{n}" for n in range(12)]
EACH = 10
HEALED_S = 60


async def sell(store: Store, first: int) -> None:
    """So many events of every key, numbered from ``first``."""
    for number in range(first, first + EACH):
        await stage(store, *(event(key, f"{key} {number}") for key in KEYS))


async def lose(store: Store, stream: str, seq: int) -> None:
    """Effect and dedup key are gone."""
    found = "(SELECT event_id FROM delivery_inbox WHERE stream = %s AND seq = %s)"
    await store.do(f"DELETE FROM effects WHERE event_id IN {found}", stream, seq)
    await store.do("DELETE FROM delivery_inbox WHERE stream = %s AND seq = %s", stream, seq)


async def holes(store: Store) -> list[tuple[str, int, bool]]:
    """(stream, seq, whether it is filled)"""
    rows = await store.rows("SELECT stream, first_seq, filled_at FROM delivery_hole ORDER BY stream, first_seq")
    return [(row[0], row[1], row[2] is not None) for row in rows]


async def test_holes_in_several_lanes_and_of_a_barrier_are_filled(ends: Ends) -> None:
    sending, receiving = ends
    events = 2 * EACH * len(KEYS)
    async with lane_delivery(ends) as both:
        await set_lanes(sending, 2)
        await sell(sending, 0)
        await wait_until(lambda: both.lanes_delivered(events // 2), timeout_s=HEALED_S)
        await set_lanes(sending, 3)
        await sell(sending, EACH)
        await wait_until(lambda: both.lanes_delivered(events), timeout_s=HEALED_S)

        check: HoleCheck[Any] = HoleCheck(receiving.pool, receiving.dialect, rewound=both.renew)
        newest = "SELECT max(seq) FROM delivery_outbox WHERE stream = %s AND kind = %s"
        [(barrier,)] = await sending.rows(newest, f"{STREAM}.1", KIND)
        lost = sorted([(STREAM, 3), (STREAM, 20), (f"{STREAM}.1", 2), (f"{STREAM}.1", barrier), (f"{STREAM}.2", 5)])
        for stream, seq in lost:
            await lose(receiving, stream, seq)

        async def filled() -> bool:
            await check.run_once()
            assert await holes(receiving) == [(*hole, True) for hole in lost]
            return True

        await wait_until(filled, timeout_s=HEALED_S, interval_s=0.2)
        await wait_until(lambda: both.lanes_delivered(events), timeout_s=HEALED_S)
        by_key = keys_in_order(await receiving.effects())
        assert {key: sorted(notes) for key, notes in by_key.items()} == {
            key: sorted(f"{key} {number}" for number in range(2 * EACH)) for key in KEYS
        }


async def test_both_ends_of_every_lane_are_whole_when_nothing_is_lost(ends: Ends) -> None:
    sending, receiving = ends
    async with lane_delivery(ends) as both:
        for count, lanes in enumerate((3, 1, 2)):
            await set_lanes(sending, lanes)
            await sell(sending, count * EACH)
        await wait_until(lambda: both.lanes_delivered(3 * EACH * len(KEYS)), timeout_s=HEALED_S)
    for store in ends:
        check: HoleCheck[Any] = HoleCheck(store.pool, store.dialect, range_seqs=50)
        while await check.run_once():
            pass
        assert await holes(store) == []
    checked = "SELECT stream, checked_seq FROM delivery_check WHERE side = %s AND checked_seq > 0 ORDER BY stream"
    assert await sending.rows(checked, "out") == await receiving.rows(checked, "in")
