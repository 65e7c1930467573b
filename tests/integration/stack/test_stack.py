"""The whole stack: what runs is left alone, what changed is restarted, and the demo's verdict."""

import os
import signal
from asyncio import to_thread

import pytest

from stack import status, up
from stack.demo import sale
from stack.seed import seed
from tests.support.ring import Ring
from tests.support.waiting import wait_until


def pids(ring: Ring) -> dict[str, int]:
    return {name: state.pid for name, state in ring.stack.supervisor.states().items()}


async def test_a_second_up_leaves_everything_as_it_is(ring: Ring) -> None:
    await ring.ready()
    before = pids(ring)
    await to_thread(ring.up)
    assert pids(ring) == before


def test_seeding_again_changes_nothing(ring: Ring) -> None:
    first = seed(ring.stack)
    assert seed(ring.stack) == first
    (ring.stack.settings.run / "seed.json").unlink()
    assert seed(ring.stack) == first, "the fixed Idempotency-Keys find what is there"


async def test_the_demo_sells_every_seat_once_and_the_stores_agree(
    ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    await ring.ready()
    assert await to_thread(sale.demo, ring.stack) == 0
    told = capsys.readouterr().out
    assert "60 confirmed, 60 told that it is sold out" in told
    assert "they agree: every seat was sold once" in told
    hops = ["seat held", "hold.placed arrived", "payment authorized", "sale.settle arrived", "seat SOLD"]
    hops += ["hold.sold arrived", "payment captured", "tickets issued", "order.confirmed arrived"]
    found = [told.index(hop) for hop in hops]
    assert found == sorted(found)


async def test_status_shows_processes_and_hops(ring: Ring, capsys: pytest.CaptureFixture[str]) -> None:
    await ring.ready()
    assert await to_thread(status.show, ring.stack) == 0
    told = capsys.readouterr().out
    for line in ("reservation-2 ", "reservation -> billing ", "bridge -> portal ", "portal -> reservation "):
        assert line in told


async def test_status_counts_what_waits_while_a_receiver_is_away(
    ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    await ring.ready()
    await ring.stop_program("billing-listener")
    try:
        event_id = (await to_thread(seed, ring.stack)).event_ids[1]
        async with ring.shop() as shop:
            wish = {"event_id": event_id, "buyer_id": "waits", "general": [{"tier": "Floor", "quantity": 1}]}
            (await shop.post("/api/v1/holds", wish)).expect("a hold")
        with ring.stores() as stores:
            await wait_until(lambda: stores.backlogs()["reservation"].events == 1)
        assert await to_thread(status.show, ring.stack) == 1, "a process is down"
        assert "billing-listener  stopped" in capsys.readouterr().out
    finally:
        await ring.start("billing-listener")
    await ring.ready()
    with ring.stores() as stores:
        await wait_until(lambda: stores.backlogs()["reservation"].events == 0)


async def test_up_takes_over_from_a_supervisor_that_was_killed(ring: Ring) -> None:
    await ring.ready()
    before = pids(ring)
    os.kill(int((ring.stack.settings.run / "supervisord.pid").read_text()), signal.SIGKILL)
    await wait_until(lambda: not ring.stack.supervisor.is_up())
    assert up.not_ready(ring.stack.ports.portal) is None, "its processes live on"
    await to_thread(ring.up)
    await ring.ready()
    assert not set(before.values()) & set(pids(ring).values())
