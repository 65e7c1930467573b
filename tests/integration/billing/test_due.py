"""One look for all of billing's workers: who is woken, when the next look is, and what a lost ring costs."""

import asyncio
from typing import Any

import pytest

from billing import due
from billing.due import DueWatch
from billing.store.due import LOOK, WAITING, soonest
from tests.integration.billing.world import World


@pytest.fixture
def watched(world: World) -> tuple[DueWatch, dict[str, asyncio.Event]]:
    wakes = {worker: asyncio.Event() for worker in WAITING}
    return DueWatch(world.pool, wakes), wakes


async def authorized(world: World) -> str:
    """A payment that waits for reservation's word."""
    sale = await world.placed(seats=1)
    assert (await sale.pay("tok_ok")).status == 201
    rows = await world.rows("SELECT payment_id FROM payments WHERE order_id = %s", (sale.hold_id,))
    return str(rows[0]["payment_id"])


async def put_due(world: World, payment_id: str, in_s: float) -> None:
    async with world.pool.transaction() as conn, conn.cursor() as cursor:
        await cursor.execute(
            "UPDATE payments SET due_at = UTC_TIMESTAMP(6) + INTERVAL %s SECOND WHERE payment_id = %s",
            (in_s, payment_id),
        )


def woken(wakes: dict[str, asyncio.Event]) -> set[str]:
    found = {worker for worker, wake in wakes.items() if wake.is_set()}
    for wake in wakes.values():
        wake.clear()
    return found


async def test_every_worker_is_looked_for_by_an_index_alone(world: World) -> None:
    plan: list[dict[str, Any]] = await world.rows(f"EXPLAIN {LOOK}")
    looks = [row for row in plan if row["select_type"] in ("SUBQUERY", "DEPENDENT SUBQUERY")]
    assert len(looks) == sum(len(states) for _, states in WAITING.values())
    for row in looks:  # answered from one end of an index, or empty
        assert row["Extra"] in ("Select tables optimized away", "No matching min/max row"), row


async def test_nothing_waits_in_an_empty_shop(world: World, watched: tuple[DueWatch, dict[str, Any]]) -> None:
    watch, wakes = watched
    async with world.pool.acquire() as conn:
        assert await soonest(conn) == {}
    assert await watch.run_once() == 0
    assert woken(wakes) == set()
    assert due.LOOK_S * 0.7 < watch.idle_s() <= due.LOOK_S


async def test_who_has_something_due_is_woken_and_nobody_else(
    world: World, watched: tuple[DueWatch, dict[str, Any]]
) -> None:
    watch, wakes = watched
    await put_due(world, await authorized(world), -1)
    await watch.run_once()
    assert woken(wakes) == {"nudge"}


async def test_the_next_look_is_when_the_next_row_is_due(
    world: World, watched: tuple[DueWatch, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "LOOK_S", 600.0)
    watch, wakes = watched
    await put_due(world, await authorized(world), 50)
    await watch.run_once()
    assert woken(wakes) == set()
    assert 10 < watch.idle_s() <= 50


async def test_a_look_that_finds_what_nobody_rang_for_is_followed_by_more(
    world: World, watched: tuple[DueWatch, dict[str, Any]]
) -> None:
    watch, wakes = watched
    payment_id = await authorized(world)
    await watch.run_once()  # it is due in a minute
    await put_due(world, payment_id, -1)
    await watch.run_once()
    assert woken(wakes) == {"nudge"}
    await put_due(world, payment_id, 60)
    await watch.run_once()
    assert watch.idle_s() == due.UNHEARD_LOOK_S


async def test_what_was_rung_for_is_as_it_should_be(world: World, watched: tuple[DueWatch, dict[str, Any]]) -> None:
    watch, wakes = watched
    payment_id = await authorized(world)
    await watch.run_once()
    await put_due(world, payment_id, -1)
    watch.ring()
    assert watch.heard.is_set()
    await watch.run_once()
    assert woken(wakes) == {"nudge"}
    await put_due(world, payment_id, 60)
    await watch.run_once()
    assert watch.idle_s() > due.UNHEARD_LOOK_S
