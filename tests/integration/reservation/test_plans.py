"""How Postgres answers what readers ask: what an event costs does not depend on the others that are in the tables."""

from collections.abc import Sequence

import pytest

from reservation.store_catalogue import TIERS
from reservation.store_maps import STATES
from tests.integration.reservation.house import Truth
from tests.support.buyer import Event, Shop


@pytest.fixture
async def event(shop: Shop, truth: Truth) -> Event:
    """One of a few halls of the same size: none of them is a small part of the table."""
    events = [await shop.event(seats=1000, standing=4000) for _ in range(3)]
    await truth.conn.execute("ANALYZE units, tiers")
    return events[1]


@pytest.fixture
async def sold_about(event: Event, truth: Truth) -> Event:
    """Its rows lie where sales of all halls put them, not in the order of their ids."""
    await truth.conn.execute("SELECT setseed(0.5)")
    for _ in range(3):
        await truth.conn.execute(
            """
            UPDATE units SET state = state
              FROM (SELECT unit_id FROM units ORDER BY random()) AS shuffled WHERE units.unit_id = shuffled.unit_id
            """
        )
    await truth.conn.execute("ANALYZE units")
    return event


async def plan_of(truth: Truth, query: str, values: Sequence[object]) -> str:
    """The one that is made for any values, as a connection has it after a while."""
    await truth.conn.execute("SET plan_cache_mode = force_generic_plan")
    await truth.conn.execute(f"PREPARE looked_at AS {query}")
    try:
        wanted = ", ".join(f"'{value}'" for value in values)
        return "\n".join(row[0] for row in await truth.conn.fetch(f"EXPLAIN EXECUTE looked_at ({wanted})"))
    finally:
        await truth.conn.execute("DEALLOCATE looked_at")


async def test_places_are_counted_in_the_indexes_of_what_is_not_sold(event: Event, truth: Truth) -> None:
    plan = await plan_of(truth, TIERS, [event.event_id])
    for index in ("units_numbered_free", "units_numbered_held", "units_general_free", "units_general_held"):
        assert index in plan
    assert "Seq Scan on units" not in plan


async def test_states_come_in_the_order_of_the_primary_key_without_a_sort(sold_about: Event, truth: Truth) -> None:
    event_id = sold_about.event_id
    first, last = await truth.conn.fetchrow(
        "SELECT min(unit_id::text), max(unit_id::text) FROM units WHERE event_id = $1", event_id
    ) or ("", "")
    plan = await plan_of(truth, STATES, [event_id, first, last, 5001])
    assert "Index Scan using units_pkey" in plan
    assert "Sort" not in plan
