"""The outbox: staged in the caller's transaction, stamped without a gap."""

import asyncio
import random
from contextlib import suppress

import pytest

from tests.contract.sending import STREAM, contender, expire_lease, leader, stage
from tests.contract.stores import Store, event, events
from ticketflow.delivery import LeaseLost, Outbox, RewindImpossible, backlog
from ticketflow.delivery.ledger import Ledger
from ticketflow.events import BadEvent, decode


async def test_staging_that_is_rolled_back_leaves_nothing(store: Store) -> None:
    with suppress(ZeroDivisionError):
        async with store.pool.transaction() as conn:
            await Outbox(store.dialect, STREAM).stage(conn, [event("a")])
            raise ZeroDivisionError
    assert await store.seqs(STREAM) == []


async def test_an_event_that_is_too_large_is_refused_before_anything_is_staged(store: Store) -> None:
    with pytest.raises(BadEvent):
        await stage(store, event("a"), event("b", "x" * 70_000))
    assert await store.seqs(STREAM) == []


async def test_committed_events_are_stamped_in_the_order_of_staging(store: Store) -> None:
    ledger = await leader(store)
    staged = events("a", 3)
    await stage(store, *staged)
    last_seq, rows = await ledger.stamp()
    assert last_seq == 3
    assert await store.seqs(STREAM) == [1, 2, 3]
    assert [decode(row.body) for row in rows] == staged
    assert await ledger.read(0, 3) == rows
    assert await ledger.stamp() == (3, [])


async def test_thousands_of_events_of_all_sizes_come_back_as_they_went_in(store: Store) -> None:
    ledger = await leader(store)
    staged = [
        event(f"käy-{n % 7}", "\x00\\'\"%s" * (n % 50) + "x" * (60_000 if n % 300 == 0 else 1)) for n in range(1500)
    ]
    await stage(store, *staged)
    assert (await ledger.stamp()).last_seq == 256
    assert (await ledger.stamp(rows_max=2000)).last_seq == 1500
    read: list[bytes] = []
    while rows := await ledger.read(len(read), 1500):
        read += [row.body for row in rows]
    assert [decode(body) for body in read] == staged


async def test_a_transaction_that_commits_late_is_stamped_late_and_not_lost(store: Store) -> None:
    ledger = await leader(store)
    outbox = Outbox(store.dialect, STREAM)
    async with store.pool.transaction() as slow:
        await outbox.stage(slow, [event("slow")])
        await stage(store, event("quick"))
        async with asyncio.timeout(2):  # an open transaction must not hold up the stamper
            assert (await ledger.stamp()).last_seq == 1
        assert [decode(row.body).key for row in await ledger.read(0, 1)] == ["quick"]
    assert (await ledger.stamp()).last_seq == 2
    assert await store.seqs(STREAM) == [2, 1]  # staged first, committed second
    assert [decode(row.body).key for row in await ledger.read(0, 2)] == ["quick", "slow"]


async def test_stamping_beside_many_writers_loses_nothing_and_keeps_the_order_of_each_key(store: Store) -> None:
    rng = random.Random(7)
    ledger = await leader(store)
    outbox = Outbox(store.dialect, STREAM)
    committed: dict[str, list[str]] = {}

    async def writer(key: str) -> None:
        for n in range(12):
            try:
                async with store.pool.transaction() as conn:
                    staged = event(key, f"{key}-{n}")
                    await outbox.stage(conn, [staged])
                    await asyncio.sleep(rng.random() * 0.02)
                    if rng.random() < 0.3:
                        raise ZeroDivisionError
                committed.setdefault(key, []).append(staged.id)
            except ZeroDivisionError:
                pass

    writers = asyncio.gather(*(writer(f"key-{n}") for n in range(4)))
    while not writers.done():
        await ledger.stamp(rows_max=5)
    await writers
    while await ledger.has_unstamped():
        await ledger.stamp()

    rows = await ledger.read(0, (await ledger.state()).last_seq)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    delivered: dict[str, list[str]] = {}
    for row in rows:
        envelope = decode(row.body)
        delivered.setdefault(envelope.key, []).append(envelope.id)
    assert delivered == committed


async def test_a_stamper_with_a_stale_token_changes_nothing(store: Store) -> None:
    old = await leader(store, "old")
    await stage(store, event("a"))
    await expire_lease(store)
    new = await leader(store, "new")
    with pytest.raises(LeaseLost):
        await old.stamp()
    with pytest.raises(LeaseLost):
        await old.mark_acked(1)
    assert await store.seqs(STREAM) == [None]
    assert (await new.stamp()).last_seq == 1
    await new.mark_acked(1)
    assert (await new.state()).acked_seq == 1


async def test_a_lease_that_ran_out_is_no_right_to_stamp_even_if_nobody_took_it(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, event("a"))
    await expire_lease(store)
    with pytest.raises(LeaseLost):
        await ledger.stamp()
    assert await store.seqs(STREAM) == [None]


async def test_nobody_takes_the_lease_in_the_middle_of_a_stamp(store: Store) -> None:
    old = contender(store, "old")
    assert await old.acquire()
    async with store.pool.transaction() as conn:
        await old.hold(conn)
        if store.name == "postgres":
            await conn.execute("UPDATE delivery_lease SET expires_at = clock_timestamp()")
        else:
            await store.run(conn, "UPDATE delivery_lease SET expires_at = UTC_TIMESTAMP(6)")
        taking = asyncio.create_task(contender(store, "new").acquire())
        done, _ = await asyncio.wait([taking], timeout=0.3)
        assert not done
    assert await taking


async def test_whoever_holds_the_stream_holds_its_lease(store: Store) -> None:
    old = contender(store, "old")
    assert await old.acquire()
    async with store.pool.transaction() as conn:
        await store.dialect.ensure_stream(conn, STREAM)
    async with store.pool.transaction() as conn:
        assert await store.dialect.hold_stream(conn, old.name, old.token - 1, STREAM) is None
        assert await store.dialect.hold_stream(conn, old.name, old.token, STREAM) is not None
        releasing = asyncio.create_task(old.release())
        done, _ = await asyncio.wait([releasing], timeout=0.3)
        assert not done
    await releasing


async def test_a_stream_that_stands_as_it_was_seen_is_held_and_stamped_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await leader(store)
    await ledger.state()
    for name in ("hold_stream", "lock_stream", "stamp"):
        monkeypatch.setattr(store.dialect, name, None, raising=False)
    await stage(store, event("a"), event("b"))
    assert (await ledger.stamp()).last_seq == 2
    assert await ledger.stamp() == (2, [])
    await stage(store, event("c"))
    assert (await ledger.stamp()).last_seq == 3
    assert await store.seqs(STREAM) == [1, 2, 3]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "UPDATE delivery_stream SET epoch = epoch + 1",
        "UPDATE delivery_stream SET last_seq = 5",
        "UPDATE delivery_stream SET lanes = 2",
        "UPDATE delivery_stream SET barrier_due = '{}'",
        "UPDATE delivery_lease SET token = token + 1",
        "UPDATE delivery_lease SET expires_at = '2020-01-01'",
        "DELETE FROM delivery_stream",
    ],
)
async def test_one_that_stands_otherwise_is_not_touched_at_once(store: Store, elsewhere: str) -> None:
    lease = contender(store, "one")
    assert await lease.acquire()
    async with store.pool.transaction() as conn:
        await store.dialect.ensure_stream(conn, STREAM)
        seen = await store.dialect.lock_stream(conn, STREAM)
    await stage(store, event("a"))
    await store.do(elsewhere)
    async with store.pool.transaction() as conn:
        assert await store.dialect.stamp_at_once(conn, lease.name, lease.token, STREAM, seen, 256) is None
    assert await store.seqs(STREAM) == [None]


async def test_two_that_both_believe_to_lead_do_not_stamp_a_row_twice(store: Store) -> None:
    # The same token twice: as near to two leaders as the lease lets anyone come.
    first = await leader(store)
    second = Ledger(store.pool, store.dialect, STREAM, first._lease)
    for round_ in range(5):
        await stage(store, *events(f"key-{round_}", 20))
        await asyncio.gather(first.stamp(rows_max=7), second.stamp(rows_max=7), first.stamp(), second.stamp())
    while await first.has_unstamped():
        await first.stamp()
    assert sorted(seq or 0 for seq in await store.seqs(STREAM)) == list(range(1, 101))


async def test_a_hole_in_the_outbox_is_an_error_and_not_skipped(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 3))
    await ledger.stamp()
    await store.do("DELETE FROM delivery_outbox WHERE seq = 2")
    assert [row.seq for row in await ledger.read(0, 3)] == [1]
    with pytest.raises(RewindImpossible):
        await ledger.read(1, 3)


async def test_an_ack_moves_forward_only_and_never_beyond_what_was_stamped(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 3))
    await ledger.stamp()
    for acked, expected in ((2, 2), (1, 2), (9, 2), (3, 3)):
        await ledger.mark_acked(acked)
        assert (await ledger.state()).acked_seq == expected


async def test_the_backlog_counts_what_is_not_acknowledged_and_how_old_it_is(store: Store) -> None:
    async with store.pool.acquire() as conn:
        assert await backlog(store.dialect, conn, STREAM) == (0, 0.0, 0, 0)
    ledger = await leader(store)
    await stage(store, *events("a", 3))
    await ledger.stamp()
    await ledger.mark_acked(1)
    await stage(store, event("b"))
    aged = {"postgres": "created_at - interval '90 seconds'", "mariadb": "created_at - INTERVAL 90 SECOND"}
    await store.do(f"UPDATE delivery_outbox SET created_at = {aged[store.name]} WHERE seq <= 2")
    async with store.pool.acquire() as conn:
        seen = await backlog(store.dialect, conn, STREAM)
    assert (seen.unacked, seen.last_seq, seen.acked_seq) == (3, 3, 1)
    assert 89 < seen.oldest_age_s < 120


async def test_streams_do_not_touch_each_other(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, event("a"), stream="other")
    assert not await ledger.has_unstamped()
    assert (await ledger.stamp()).last_seq == 0
    assert await store.seqs("other") == [None]
