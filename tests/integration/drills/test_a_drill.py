"""A crowd in the embedded shop for a few seconds, a fault or none, and what the auditor reads of it afterwards."""

import asyncio
from collections import Counter
from typing import Any

import aiohttp

from drills.auditor import final
from drills.auditor.settings import AuditorSettings
from drills.auditor.stores import open_stores
from drills.auditor.watch import Watch
from drills.auditor.web import Web
from drills.checkers import check_all
from drills.history import History, Op, Stores
from drills.observation import Observation, waiting
from drills.show import Hall
from tests.integration.drills.conftest import Ground
from tests.support.ring import Ring
from tests.support.waiting import wait_until

DRAIN_S = 60


async def audited(settings: AuditorSettings, ground: Ground, hall: Hall, **rest: Any) -> History:
    """Waits for the drain as the watch sees it, then reads everything."""
    async with open_stores(settings, 10) as stores, aiohttp.ClientSession() as session:
        watch = Watch(settings, stores, Web(session))
        watch.event_id = hall.show.event_id
        said: list[Observation] = []
        running = asyncio.create_task(watch.run(said.append))

        def drained() -> bool:
            assert said, "the watch has not said anything"
            assert not said[-1].unseen
            assert not waiting(said[-1])
            return True

        try:
            await wait_until(drained, DRAIN_S, interval_s=0.2)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        async def at_rest() -> Stores:
            found = await final.read(settings, stores, Web(session), hall.show.event_id, ground.clock.started_at_s)
            assert not [stream for stream in found.streams if stream.backlog]
            return found

        # The ring has other tests too, whose holds run out when their time comes.
        found = await wait_until(at_rest, DRAIN_S)
    return History(
        drill="test",
        seed=1,
        started_at_s=ground.clock.started_at_s,
        show=hall.show,
        load_began_s=0,
        load_ended_s=ground.clock.now(),
        recovered_s=None,
        drained_s=ground.clock.now(),
        ops=tuple(ground.ledger.ops),
        faults=(),
        samples=tuple(observation.sample(ground.clock.at(observation.at_s)) for observation in said),
        stores=found,
        **rest,
    )


def confirmed(ops: tuple[Op, ...]) -> set[str]:
    return {op.order_id for op in ops if op.action == "sale" and op.state == "CONFIRMED"}


async def test_what_the_auditor_reads_is_what_the_crowd_did(ground: Ground, auditor_settings: AuditorSettings) -> None:
    hall = await ground.hall()
    workload = ground.workload(hall, rate_s=15)
    workload.open()
    await wait_until(lambda: workload.arrived >= 60, timeout_s=20)
    await workload.close()
    assert await workload.finish(60)
    history = await audited(auditor_settings, ground, hall)

    held = {op.order_id for op in history.ops if op.action == "hold" and op.outcome == "ok"}
    assert {hold.hold_id for hold in history.stores.holds} == held
    assert {order.order_id for order in history.stores.orders} == held
    assert {sale.order_id for sale in history.stores.sales} == held
    sold = confirmed(history.ops)
    assert sold
    assert {order.order_id for order in history.stores.orders if order.state == "CONFIRMED"} == sold
    assert Counter(charge.state for charge in history.stores.charges)["captured"] == len(sold)
    assert len(history.stores.units) == hall.show.capacity
    assert [stream.backlog for stream in history.stores.streams] == [0, 0, 0]
    assert {
        sample.places.free + sample.places.held + sample.places.sold for sample in history.samples if sample.places
    } == {hall.show.capacity}
    assert [finding for finding in check_all(history) if not finding.ok] == []


async def test_a_drill_with_kills_is_safe_and_the_crowd_sees_no_error(
    ring: Ring, ground: Ground, auditor_settings: AuditorSettings
) -> None:
    hall = await ground.hall(grace_s=20)
    workload = ground.workload(hall, seed=2)
    workload.open()
    workload.ease()
    for victim in ("reservation-1", "billing-listener", "billing-web", "bridge", "portal"):
        arrived = workload.arrived
        await wait_until(lambda arrived=arrived: workload.arrived >= arrived + 10, timeout_s=20)  # type: ignore[misc]
        await ring.kill(victim)
    await workload.close()
    assert await workload.finish(90)
    await ring.ready()
    history = await audited(auditor_settings, ground, hall)

    assert confirmed(history.ops)
    assert [op for op in history.ops if op.outcome == "indefinite" or op.status >= 500] == []
    assert [finding for finding in check_all(history) if not finding.ok] == []


async def test_the_watch_says_what_it_cannot_see(ring: Ring, ground: Ground, auditor_settings: AuditorSettings) -> None:
    said: list[Observation] = []
    async with open_stores(auditor_settings, 2) as stores, aiohttp.ClientSession() as session:
        watch = Watch(auditor_settings, stores, Web(session))
        running = asyncio.create_task(watch.run(said.append))
        try:
            await wait_until(lambda: said and not said[-1].unseen)
            await ring.stop_program("mariadb", sigkill=True)
            await wait_until(lambda: "billing" in said[-1].unseen, timeout_s=15)
            assert said[-1].backlog.keys() == {"reservation", "portal"}
            assert "billing" not in said[-1].streams
            await ring.start("mariadb")
            await wait_until(lambda: not said[-1].unseen, timeout_s=60)
            assert said[-1].streams.keys() == {"reservation", "billing", "portal"}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await ring.start("mariadb")
            await ring.ready()
