"""Lanes over a real feed, from one kind of store to the other: spread, changed, crashed, restored, parked."""

import asyncio
import random
from typing import Any

import pytest

from tests.contract.lanes import lane_delivery, set_lanes
from tests.contract.receiving import STREAM
from tests.contract.sending import stage
from tests.contract.stores import Store, event, keys_in_order
from tests.contract.test_delivery import until_known
from tests.support.waiting import wait_until
from ticketflow.delivery import Outbox, Poison, relays
from ticketflow.delivery.lanes_barrier import KEY
from ticketflow.events import Envelope

Ends = tuple[Store, Store]
KEYS = [f"key-{n}" for n in range(12)]


async def test_two_replicas_share_the_lanes_and_one_carries_all_when_the_other_goes(ends: Ends) -> None:
    await set_lanes(ends[0], 4)
    async with lane_delivery(ends, ("a",)) as both:
        first = both.replicas["a"][0]
        await wait_until(lambda: first.held == 4)
        second = both.start_replica("b")
        await wait_until(lambda: (first.held, second.held) == (2, 2))
        await stage(both.sending, *[event(key, f"{key}-{n}") for n in range(20) for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(240))
        await both.stop_replica("b")
        await wait_until(lambda: first.held == 4)
        await stage(both.sending, *[event(key, f"{key}-{n}") for n in range(20, 30) for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(360))
        assert first.backlog is not None
        assert keys_in_order(await both.receiving.effects()) == {key: [f"{key}-{n}" for n in range(30)] for key in KEYS}


@pytest.mark.parametrize("seed", [1, 2])
async def test_changes_under_load_and_crashes_lose_double_and_reorder_nothing(ends: Ends, seed: int) -> None:
    rng = random.Random(seed)
    committed: dict[str, list[str]] = {}

    async def write(sending: Store) -> None:
        outbox = Outbox(sending.dialect, STREAM)
        for n in range(80):
            for key in rng.sample(KEYS, 4):
                staged = event(key, f"{key}-{n}")
                try:
                    async with sending.pool.transaction() as conn:
                        await outbox.stage(conn, [staged])
                except Exception:
                    if not await until_known(sending, staged):
                        continue
                committed.setdefault(key, []).append(f"{key}-{n}")
            await asyncio.sleep(0.02)

    async with lane_delivery(ends, ("a", "b")) as both:

        async def change() -> None:
            await wait_until(lambda: _changed(both.sending, rng.choice([1, 2, 3, 4])))

        async def crash_receiver() -> None:
            await both.crash_receiver()
            await both.start_receiver()

        async def restore_receiver() -> None:
            await both.stop_receiver()
            await both.restore_receiver()
            await both.start_receiver()

        await both.copy_receiver()
        writing = asyncio.create_task(write(both.sending))
        while not writing.done():
            await asyncio.sleep(rng.random() * 0.4)
            await rng.choice(
                [change, change, both.crash_replicas, crash_receiver, both.copy_receiver, restore_receiver]
            )()
        await writing
        await set_lanes(both.sending, 3)
        count = sum(map(len, committed.values()))
        await wait_until(lambda: both.lanes_delivered(count), timeout_s=60)
        assert keys_in_order(await both.receiving.effects()) == committed
        assert await both.receiving.parked() == []


async def _changed(store: Store, lanes: int) -> bool:
    await set_lanes(store, lanes)
    return True


async def test_a_receiver_restored_to_before_a_change_gets_the_old_lanes_first(ends: Ends) -> None:
    async with lane_delivery(ends, ("a", "b")) as both:
        await both.copy_receiver()
        expected: dict[str, list[str]] = {}
        for round_, lanes in enumerate((1, 4, 2, 3, 1)):
            await set_lanes(both.sending, lanes)
            staged = [(key, f"{key}-{round_}-{n}") for n in range(5) for key in KEYS]
            await stage(both.sending, *[event(key, text) for key, text in staged])
            for key, text in staged:
                expected.setdefault(key, []).append(text)
            await wait_until(lambda: both.lanes_delivered(sum(map(len, expected.values()))))
        await both.stop_receiver()
        await both.restore_receiver()
        assert await both.receiving.effects() == []
        await both.start_receiver()
        await wait_until(lambda: both.lanes_delivered(300), timeout_s=60)
        assert keys_in_order(await both.receiving.effects()) == expected


async def test_a_session_that_began_between_two_changes_learns_of_the_second(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "LANES_LOOK_EVERY_S", 3.0)  # most often both changes are between two looks
    async with lane_delivery(ends, ("a",)) as both:
        await set_lanes(both.sending, 2)
        await wait_until(lambda: both.replicas["a"][0].held == 2)
        await stage(both.sending, *[event(key, f"{key}-0") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(len(KEYS)))
        await set_lanes(both.sending, 1)
        both.cut()
        await wait_until(lambda: both.replicas["a"][0].relays[1]._ledger.lanes == 1)
        await set_lanes(both.sending, 2)
        await stage(both.sending, *[event(key, f"{key}-1") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(2 * len(KEYS)))


async def test_a_lane_whose_lease_was_blocked_for_a_moment_is_relayed_again_though_nothing_is_staged(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "LANES_LOOK_EVERY_S", 30.0)  # nobody sees that there was one lane
    async with lane_delivery(ends, ("a",)) as both:
        await set_lanes(both.sending, 2)
        await wait_until(lambda: both.replicas["a"][0].held == 2)
        await set_lanes(both.sending, 1)
        first_lane = both.replicas["a"][0].relays[0]
        await wait_until(lambda: first_lane._lease.free_in_s > 3600)
        await set_lanes(both.sending, 2)
        await wait_until(lambda: both.replicas["a"][0].held == 2)


async def test_what_is_parked_holds_its_key_up_in_every_lane(ends: Ends) -> None:
    async def poisonous(conn: Any, envelope: Envelope) -> None:
        if envelope.key == "key-1" and not await ends[1].parked():
            raise Poison("never")
        await ends[1].write_effect(conn, envelope)

    async with lane_delivery(ends, ("a",), poisonous) as both:
        await stage(both.sending, *[event(key, f"{key}-0") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(len(KEYS) - 1))
        for round_, lanes in enumerate((4, 3, 2, 5), 1):
            await set_lanes(both.sending, lanes)
            await stage(both.sending, *[event(key, f"{key}-{round_}") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(5 * (len(KEYS) - 1)))
        assert [reason for _, reason in await both.receiving.parked()] == [
            "poison",
            "behind",
            "behind",
            "behind",
            "behind",
        ]
        assert {row[0] for row in await both.receiving.rows("SELECT stream FROM delivery_parked")} == {STREAM}


async def test_a_sender_restored_to_before_its_first_split_finds_what_it_lost_when_it_is_split_again(
    ends: Ends,
) -> None:
    async with lane_delivery(ends, ("a",)) as both:
        await stage(both.sending, *[event(key, f"{key}-0") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(len(KEYS)))
        await both.copy_sender()
        await set_lanes(both.sending, 3)
        await stage(both.sending, *[event(key, f"{key}-1") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(2 * len(KEYS)))
        await both.stop_replica("a")
        await both.restore_sender()
        both.start_replica("a")
        await stage(both.sending, *[event(key, f"{key}-2") for key in KEYS])
        await set_lanes(both.sending, 3)
        await wait_until(lambda: both.lanes_delivered(3 * len(KEYS)))
        forked = await both.sending.rows("SELECT stream, after_seq FROM delivery_fork ORDER BY stream")
        assert forked[-2:] == [(f"{STREAM}.1", 0), (f"{STREAM}.2", 0)]
        phantoms = await both.receiving.rows(
            "SELECT event_key FROM delivery_phantom WHERE resolved_at IS NULL AND event_key <> %s", KEY
        )
        assert sorted(phantoms) == sorted((key,) for key in KEYS)
        assert keys_in_order(await both.receiving.effects()) == {key: [f"{key}-{n}" for n in range(3)] for key in KEYS}


async def test_a_sender_restored_and_then_split_still_finds_that_it_has_lost_history(ends: Ends) -> None:
    async with lane_delivery(ends, ("a",)) as both:
        await set_lanes(both.sending, 2)
        await stage(both.sending, *[event(key, f"{key}-0") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(len(KEYS)))
        await both.copy_sender()
        await stage(both.sending, *[event(key, f"{key}-1") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(2 * len(KEYS)))
        await both.stop_replica("a")
        await both.restore_sender()
        await set_lanes(both.sending, 3)
        both.start_replica("a")
        await stage(both.sending, *[event(key, f"{key}-2") for key in KEYS])
        await wait_until(lambda: both.lanes_delivered(3 * len(KEYS)))
        forked = await both.sending.rows("SELECT stream FROM delivery_fork ORDER BY stream")
        assert forked == [(STREAM,), (f"{STREAM}.1",)]
        phantoms = await both.receiving.rows("SELECT event_key FROM delivery_phantom WHERE resolved_at IS NULL")
        assert sorted(phantoms) == sorted((key,) for key in KEYS)
        assert keys_in_order(await both.receiving.effects()) == {key: [f"{key}-{n}" for n in range(3)] for key in KEYS}
