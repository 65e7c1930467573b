"""The number of lanes, at the sending end: who stamps what, and that a change loses and reorders nothing."""

import asyncio
import json
import random

import pytest

from tests.contract.lanes import lane_leader, read_in_any_order, set_lanes
from tests.contract.sending import LEASE, STREAM, contender, leader, stage
from tests.contract.stores import Store, event, events
from tests.contract.test_retention import DAY_S, age, retention
from ticketflow.delivery import LaneChange, LeaseLost, Outbox, backlog
from ticketflow.delivery.lanes import LANES_MAX, SLOTS
from ticketflow.delivery.lanes_barrier import KIND

KEYS = [f"key-{n}" for n in range(40)]


async def lanes_of_keys(store: Store) -> dict[str, set[str]]:
    """The lanes in which each key's events were stamped."""
    found: dict[str, set[str]] = {}
    sql = "SELECT event_key, stream FROM delivery_outbox WHERE seq IS NOT NULL AND event_key LIKE %s"
    for key, stream in await store.rows(sql, "key-%"):
        found.setdefault(key, set()).add(stream)
    return found


async def test_every_event_is_stamped_by_exactly_one_lane_and_a_key_by_one(store: Store) -> None:
    await set_lanes(store, 3)
    await stage(store, *[event(key, f"{key}-{n}") for n in range(3) for key in KEYS])
    stamped = [(await (await lane_leader(store, number, 3)).stamp()).last_seq for number in range(3)]
    assert sum(stamped) == 120
    assert min(stamped) > 0
    assert all(len(lanes) == 1 for lanes in (await lanes_of_keys(store)).values())
    assert await store.rows("SELECT 1 FROM delivery_outbox WHERE seq IS NULL") == []


async def test_a_lane_sees_only_what_it_will_stamp(store: Store) -> None:
    await set_lanes(store, 2)
    ledgers = [await lane_leader(store, number, 2) for number in range(2)]
    assert [await ledger.has_unstamped() for ledger in ledgers] == [False, False]
    await stage(store, event("key-1"))
    assert sorted([await ledger.has_unstamped() for ledger in ledgers]) == [False, True]


async def test_every_slot_of_the_store_belongs_to_a_lane(store: Store) -> None:
    await stage(store, *[event(f"käy-{n}-\\'%") for n in range(1000)])
    async with store.pool.acquire() as conn:
        seen = [await store.dialect.lane_has_unstamped(conn, STREAM, [slot]) for slot in range(SLOTS)]
    assert all(seen), "a thousand keys leave no slot empty"
    await set_lanes(store, LANES_MAX)
    assert sum([(await (await lane_leader(store, n, LANES_MAX)).stamp()).last_seq for n in range(LANES_MAX)]) == 1000


async def test_what_an_older_version_staged_has_its_lane_too(store: Store) -> None:
    # It knows no slots: it names the columns of the first schema.
    await set_lanes(store, 2)
    staged = event("key-1")
    await store.do(
        "INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body) VALUES (%s, %s, %s, %s, %s)",
        STREAM, staged.id, staged.key, staged.kind, b"x",
    )  # fmt: skip
    await stage(store, event("key-1"))
    assert sorted([(await (await lane_leader(store, number, 2)).stamp()).last_seq for number in range(2)]) == [0, 2]


async def test_with_one_lane_nothing_is_asked_that_was_not_asked_before(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, event("a"))
    for name in ("lane_has_unstamped", "stamp_lane", "next_barrier", "acked_seqs"):
        setattr(store.dialect, name, None)  # whoever calls it fails
    assert await ledger.has_unstamped()
    assert (await ledger.stamp()).last_seq == 1
    assert await ledger.gate.upto(0, 1) == 1


async def test_an_older_version_cannot_get_the_lease_while_there_are_several_lanes(store: Store) -> None:
    old = contender(store, "an older version")
    assert await old.acquire()
    assert await set_lanes(store, 2)
    with pytest.raises(LeaseLost):
        async with store.pool.transaction() as conn:
            await old.hold(conn)
    assert not await contender(store, "an older version").acquire()
    assert not await contender(store, "another").acquire()
    assert await set_lanes(store, 1)
    again = contender(store, "an older version")
    assert await again.acquire()
    assert again.token > old.token
    assert again.name == LEASE


async def test_who_relayed_the_only_lane_cannot_stamp_after_the_change(store: Store) -> None:
    only = await leader(store)
    await stage(store, event("a"))
    await set_lanes(store, 2)
    with pytest.raises(LeaseLost):
        await only.stamp()
    first = await lane_leader(store, 0, 2, "two")
    await set_lanes(store, 1)
    with pytest.raises(LeaseLost):
        await first.stamp()
    assert await store.seqs(STREAM) == [None]


async def test_setting_what_is_set_changes_nothing(store: Store) -> None:
    assert not await set_lanes(store, 1)
    assert await set_lanes(store, 4)
    assert not await set_lanes(store, 4)
    for number in (0, LANES_MAX + 1):
        with pytest.raises(ValueError, match="lanes"):
            await set_lanes(store, number)
    change = LaneChange(store.pool, store.dialect, STREAM)
    assert [(each.lane.number, each.lanes) for each in await change.states()] == [(n, 4) for n in range(4)]


async def test_two_changes_at_once_are_one_after_the_other(store: Store) -> None:
    await set_lanes(store, 2)
    for round_ in range(4):
        await stage(store, *events(f"key-{round_}", 3))
        for number in range(2):
            await (await lane_leader(store, number, 2, f"{round_}")).stamp()
            await store.do(
                "DELETE FROM delivery_lease WHERE name LIKE %s AND owner = %s", f"relay:{STREAM}.%", f"{round_}"
            )
        await asyncio.gather(*(set_lanes(store, lanes) for lanes in (3, 5, 4)))
        await set_lanes(store, 2)
    states = await LaneChange(store.pool, store.dialect, STREAM).states()
    assert {state.lanes for state in states} == {2}
    assert len(await read_in_any_order(store, random.Random(1))) == 12


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_changes_beside_stampers_and_writers_keep_the_order_of_each_key(store: Store, seed: int) -> None:
    rng = random.Random(seed)
    outbox = Outbox(store.dialect, STREAM)
    committed: dict[str, list[str]] = {}
    done = asyncio.Event()

    async def writer(key: str) -> None:
        for n in range(25):
            async with store.pool.transaction() as conn:
                staged = event(key, f"{key}-{n}")
                await outbox.stage(conn, [staged])
                await asyncio.sleep(rng.random() * 0.01)
            committed.setdefault(key, []).append(staged.id)

    async def stamper(number: int) -> None:
        """Whatever it believes to know of the number of lanes, it takes any lease of its lane that it can get."""
        while True:
            last = done.is_set()
            for lanes in (1, 2) if number == 0 else (2,):
                try:
                    ledger = await lane_leader(store, number, lanes, f"stamper-{number}")
                    for _ in range(rng.randint(1, 4)):
                        await ledger.stamp(rows_max=7)
                    while last and await ledger.has_unstamped():
                        await ledger.stamp()
                except (AssertionError, LeaseLost):
                    pass
                else:
                    await ledger._lease.release()
            if last:
                return

    writing = asyncio.gather(*(writer(f"key-{n}") for n in range(3)))
    stamping = asyncio.gather(*(stamper(number) for number in range(4)))
    while not writing.done():
        await set_lanes(store, rng.choice([1, 2, 3, 4]))
        await asyncio.sleep(rng.random() * 0.1)
    await writing
    await set_lanes(store, 2)
    done.set()
    await stamping
    arrived: dict[str, list[str]] = {}
    keys = {staged_id: key for key, ids in committed.items() for staged_id in ids}
    for event_id in await read_in_any_order(store, rng):
        arrived.setdefault(keys[event_id], []).append(event_id)
    assert arrived == committed, f"seed {seed}"


async def test_a_barrier_is_stamped_before_anything_else_and_only_by_a_relay(store: Store) -> None:
    only = await leader(store)
    await stage(store, *[event(key) for key in KEYS])
    assert (await only.stamp(rows_max=10)).last_seq == 10
    await set_lanes(store, 2)
    assert await store.rows("SELECT stream FROM delivery_lane_barrier") == []
    second = await lane_leader(store, 1, 2)
    assert await second.has_unstamped()
    assert (await second.stamp(rows_max=1)).last_seq == 2
    kinds = await store.rows("SELECT kind FROM delivery_outbox WHERE stream = %s ORDER BY seq", f"{STREAM}.1")
    assert [kind == KIND for (kind,) in kinds] == [True, False]
    assert await store.rows("SELECT requires FROM delivery_lane_barrier") == [('{"orders": 10}',)]


async def test_changes_before_a_stamp_leave_one_barrier_that_requires_all(store: Store) -> None:
    await set_lanes(store, 2)
    await stage(store, *[event(key) for key in KEYS])
    last = [(await (await lane_leader(store, number, 2)).stamp()).last_seq for number in range(2)]
    for lanes in (1, 3, 1, 3):
        await set_lanes(store, lanes)
    third = await lane_leader(store, 2, 3)
    assert (await third.stamp()).last_seq == 1
    ((requires,),) = await store.rows("SELECT requires FROM delivery_lane_barrier")
    assert json.loads(requires) == {STREAM: last[0], f"{STREAM}.1": last[1]}


async def test_each_lane_is_purged_by_itself_and_its_barriers_with_it(store: Store) -> None:
    await set_lanes(store, 2)
    await stage(store, *[event(key) for key in KEYS])
    ledgers = [await lane_leader(store, number, 2) for number in range(2)]
    last = [(await ledger.stamp()).last_seq for ledger in ledgers]
    await set_lanes(store, 3)
    ledgers.append(await lane_leader(store, 2, 3))
    assert [(await ledger.stamp()).last_seq for ledger in ledgers] == [last[0] + 1, last[1] + 1, 1]
    await ledgers[1].mark_acked(last[1] + 1)
    await age(store, "delivery_outbox", "created_at", 30)
    assert await retention(store, retention_s=7 * DAY_S).run_once() == last[1] + 1
    barriers = await store.rows("SELECT stream, seq FROM delivery_lane_barrier ORDER BY stream")
    assert barriers == [(STREAM, last[0] + 1), (f"{STREAM}.2", 1)]
    await set_lanes(store, 1)
    states = {state.lane.number: state for state in await LaneChange(store.pool, store.dialect, STREAM).states()}
    assert states[0].at_work
    assert not states[1].at_work, "nothing of it is kept, and it takes nothing new"
    assert states[2].at_work, "its barrier has not been acknowledged"


async def test_the_backlogs_of_the_lanes_add_up(store: Store) -> None:
    await set_lanes(store, 2)
    await stage(store, *[event(key) for key in KEYS])
    ledger = await lane_leader(store, 1, 2)
    stamped = (await ledger.stamp()).last_seq
    await ledger.mark_acked(1)
    async with store.pool.acquire() as conn:
        seen = [await backlog(store.dialect, conn, stream) for stream in (STREAM, f"{STREAM}.1")]
    assert [each.unacked for each in seen] == [len(KEYS) - stamped, stamped - 1]
