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
from ticketflow.delivery import Outbox, Poison
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
