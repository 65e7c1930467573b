"""An older copy of a database is really restored, and everything is there again, or what differs is listed."""

import asyncio

import pytest

from tests.integration.replay.conftest import HEALED_S, Bridge, World
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # the first one starts three servers, on a machine that may be busy


async def test_a_portal_restored_while_nothing_flows_gets_its_lost_events_again(world: World) -> None:
    await world.billing.sell(20)
    await world.all_arrived()
    copy = world.copy_of_portal()
    lost = await world.billing.sell(30)
    await world.all_arrived()

    await world.restore_portal(copy)

    assert await world.portal.state(lost[0]) is None
    await world.all_arrived()
    assert {await world.portal.state(sale) for sale in lost} == {"CONFIRMED"}
    await world.nothing_doubled()
    assert await world.portal.phantoms() == set()


async def test_a_portal_restored_to_nothing_under_load_gets_everything_again(world: World) -> None:
    copy = world.copy_of_portal()
    await world.billing.sell(100)
    await world.all_arrived()

    async def keep_selling() -> None:
        while True:
            await world.billing.sell(3)
            await asyncio.sleep(0.05)

    selling = asyncio.create_task(keep_selling())
    try:
        await world.restore_portal(copy)
        held = len(await world.billing.ids())
        await wait_until(lambda: more_than(world, held + 100), HEALED_S)
    finally:
        selling.cancel()

    await world.all_arrived()
    await world.nothing_doubled()
    assert await world.portal.phantoms() == set()


async def more_than(world: World, events: int) -> bool:
    return len(await world.billing.ids()) > events


async def test_a_bridge_that_dies_during_the_replay_and_requests_that_nobody_hears(world: World) -> None:
    copy = world.copy_of_portal()
    await world.billing.sell(50)
    await world.all_arrived()
    for bridge in world.bridges:
        await bridge.kill()

    await world.restore_portal(copy)
    await asyncio.sleep(0)  # nobody is there to hear it
    ports = [bridge.feed.port for bridge in world.bridges]
    amqp_url = world.amqp_url
    world.bridges[:] = [Bridge(amqp_url, port) for port in ports]
    for bridge in world.bridges:
        await bridge.start()
    await wait_until(lambda: world.bridges[0].feed.streams or world.bridges[1].feed.streams, HEALED_S)
    await world.bridges[1 if world.bridges[1].feed.streams else 0].kill()

    await world.all_arrived()
    await world.nothing_doubled()


async def test_a_billing_restored_to_an_older_state_forks_and_the_portal_lists_what_was_lost(world: World) -> None:
    await world.billing.sell(20)
    await world.all_arrived()
    copy = world.copy_of_billing()
    await world.billing.sell(30)
    await world.all_arrived()
    before = await world.portal.ids()
    [(epoch,)] = await world.billing.rows("SELECT epoch FROM delivery_stream")

    await world.restore_billing(copy)
    await world.billing.sell(10)
    await world.all_arrived()

    kept = await world.billing.ids()
    await wait_until(lambda: phantoms_are(world, before - kept), HEALED_S)
    [(epoch_now,)] = await world.billing.rows("SELECT epoch FROM delivery_stream")
    assert epoch_now > epoch
    assert await world.billing.rows("SELECT epoch, after_seq FROM delivery_fork") == [(epoch, 80)]
    await wait_until(lambda: positions_are(world, epoch_now, 120), HEALED_S)


async def test_a_billing_restored_while_no_bridge_remembers_it_is_found_out_by_the_portal(world: World) -> None:
    await world.billing.sell(20)
    await world.all_arrived()
    copy = world.copy_of_billing()
    await world.billing.sell(30)
    await world.all_arrived()
    before = await world.portal.ids()
    await world.billing.stop()
    for bridge in world.bridges:
        bridge.rewinds._seen.clear()

    await world.restore_billing(copy)
    await world.billing.sell(5)

    await world.all_arrived()
    kept = await world.billing.ids()
    await wait_until(lambda: phantoms_are(world, before - kept), HEALED_S)
    [(epochs,)] = await world.billing.rows("SELECT count(*) FROM delivery_fork")
    assert epochs == 1


async def phantoms_are(world: World, expected: set[str]) -> bool:
    found = await world.portal.phantoms()
    assert found == expected, (len(found), len(expected), len(found & expected))
    return True


async def positions_are(world: World, epoch: int, watermark: int) -> bool:
    rows = await world.portal.rows("SELECT stream, epoch, watermark, ahead FROM portal_stream")
    assert [tuple(row) for row in rows] == [("billing", epoch, watermark, [])]
    return True


async def test_what_rabbitmq_has_lost_is_filled_in(world: World) -> None:
    """A queue that is purged, as after a cluster that had to be made anew."""
    await world.billing.sell(10)
    await world.all_arrived()
    await world.portal.stop()
    await world.billing.sell(20)
    await wait_until(world.billing.idle, HEALED_S)
    await world.purge()

    await world.portal.start()

    await world.all_arrived()
    await world.nothing_doubled()


async def test_lanes_before_and_after_the_copy_are_replayed_each_by_itself(world: World) -> None:
    await world.billing.sell(10)
    await world.all_arrived()
    await world.billing.set_lanes(2)
    await world.billing.sell(20)
    await world.all_arrived()
    copy = world.copy_of_portal()
    await world.billing.sell(20)
    await world.billing.set_lanes(3)
    lost = await world.billing.sell(20)
    await world.all_arrived()

    await world.restore_portal(copy)
    await world.billing.sell(1)

    await world.all_arrived()
    assert {await world.portal.state(sale) for sale in lost} == {"CONFIRMED"}
    await world.nothing_doubled()
    assert await world.portal.phantoms() == set()
    await wait_until(lambda: nothing_is_missing(world), HEALED_S)


async def test_a_billing_with_lanes_restored_to_an_older_state_forks_in_each(world: World) -> None:
    await world.billing.sell(1)
    await world.all_arrived()
    await world.billing.set_lanes(2)
    await world.billing.sell(20)
    await world.all_arrived()
    copy = world.copy_of_billing()
    await world.billing.sell(30)
    await world.all_arrived()
    before = await world.portal.ids()

    await world.restore_billing(copy)
    await world.billing.sell(10)
    await world.all_arrived()

    kept = await world.billing.ids()
    await wait_until(lambda: phantoms_are(world, before - kept), HEALED_S)
    forked = await world.billing.rows("SELECT stream FROM delivery_fork ORDER BY stream")
    assert forked == [("billing",), ("billing.1",)]
    await wait_until(lambda: nothing_is_missing(world), HEALED_S)


async def nothing_is_missing(world: World) -> bool:
    """The portal stands in every lane where billing does."""
    sent = await world.billing.rows("SELECT stream, epoch, last_seq FROM delivery_stream WHERE last_seq > 0")
    rows = await world.portal.rows("SELECT stream, epoch, watermark, ahead FROM portal_stream")
    assert sorted(tuple(row) for row in rows) == sorted((*lane, []) for lane in sent)
    return True
