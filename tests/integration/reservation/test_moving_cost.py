"""What it costs to find other places in a stadium: a few index entries, whatever was planned while it was empty."""

import pytest

from reservation.store_moving import NEAR_MAX
from reservation.store_returning import Returning
from reservation.store_settling import Settling
from tests.integration.reservation.house import Replica, Truth, hold_same_tier
from tests.support.buyer import Buyer, Event, Shop
from ticketflow.delivery import Handler
from ticketflow.events import Payload, SaleReturn, SaleSettle, envelope_for, new_id
from ticketflow.runtime.postgres import Connection

ROWS, SEATS_PER_ROW, STANDING = 20, 500, 10_000
FETCHED_MAX = 2000  # of 20 000 places: what is near, three times NEAR_MAX, and the hold's own, some times over

# Past the service, which would take a minute: many holds, each with as many lines as one can have.
SELL = """
    WITH lines AS (
        SELECT unit_id, (n - 1) / 50 AS hold FROM unnest($2::uuid[]) WITH ORDINALITY AS place (unit_id, n)
    ), owners AS (
        SELECT hold, gen_random_uuid() AS hold_id FROM (SELECT DISTINCT hold FROM lines) AS each
    ), made AS (
        INSERT INTO holds (hold_id, event_id, buyer_id, state, total_minor, currency, late, payment_id, placed_at,
                           expires_at, held_until, ended_at)
        SELECT hold_id, $1, 'forged', 'SOLD', 0, 'EUR', 'refund', gen_random_uuid(), now() - interval '1 hour', now(),
               now(), now() FROM owners
    ), written AS (
        INSERT INTO hold_units (hold_id, unit_id, price_minor, sold)
        SELECT hold_id, unit_id, 0, true FROM lines JOIN owners USING (hold)
    )
    UPDATE units SET state = 'sold', hold_id = owners.hold_id
      FROM lines JOIN owners USING (hold) WHERE lines.unit_id = units.unit_id"""


@pytest.fixture
async def stadium(replica: Replica, truth: Truth) -> Event:
    """Everything is sold but the first and the last row, and a hundred places to stand."""
    shop = replica.shop
    event = await _event(shop)
    places = await truth.conn.fetch(
        "SELECT unit_id::text FROM units WHERE event_id = $1 ORDER BY unit_id", event.event_id
    )
    sold = [place["unit_id"] for place in (*places[SEATS_PER_ROW : -STANDING - SEATS_PER_ROW], *places[-STANDING:-100])]
    await truth.conn.execute(SELL, event.event_id, sold)
    await truth.conn.execute("VACUUM ANALYZE units")
    await truth.conn.execute("VACUUM ANALYZE holds, hold_units")
    return event


async def _event(shop: Shop) -> Event:
    venue = await shop.admin("venues", {"name": "Stadium"})
    rows = [{"row": f"R{n:02}", "seats": SEATS_PER_ROW} for n in range(ROWS)]
    hall = await shop.admin("halls", {"venue_id": venue["venue_id"], "name": "Main", "rows": rows})
    tiers = [
        {"name": "seated", "price_minor": 2500, "rows": [row["row"] for row in rows]},
        {"name": "standing", "price_minor": 1500, "capacity": STANDING},
    ]
    wanted = {"hall_id": hall["hall_id"], "name": "Final", "starts_at": "2099-01-01T20:00:00Z", "currency": "EUR"}
    event = Event(shop, (await shop.admin("events", wanted | {"tiers": tiers}))["event_id"])
    event.seats = [seat["seat_id"] for seat in (await event.availability())["seats"]]
    return event


async def read(conn: Connection) -> tuple[int, int]:
    """(walks over all places, places fetched by way of an index) of this connection, until now."""
    row = await conn.fetchrow("SELECT seq_scan, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'units'")
    assert row is not None
    return row["seq_scan"], row["idx_tup_fetch"]


async def cost_of(replica: Replica, handler: Handler[Connection], command: Payload) -> tuple[int, int]:
    """What a command reads."""
    async with replica.pool.transaction() as conn:
        before = await read(conn)
        await handler(conn, envelope_for(command, key="cost", correlation_id="cost"))
        after = await read(conn)
    cost = after[0] - before[0], after[1] - before[1]
    print(f"{command.kind}: {cost[0]} walks, {cost[1]} places fetched")
    return cost


async def test_a_late_payment_and_a_return_read_a_few_places_of_a_stadium(
    replica: Replica, truth: Truth, stadium: Event
) -> None:
    late = await hold_same_tier(replica.shop, stadium, stadium.seats[:5], standing=5)
    await truth.let_pass(late.hold_id, 10_000)
    await Buyer(replica.shop).hold(stadium, stadium.seats[:3], standing=7)
    settle, give_back = Settling(replica.outbox).settle, Returning(replica.outbox).give_back
    command = SaleSettle(hold_id=late.hold_id, payment_id=new_id(), started_at_us=1)
    walks, fetched = await cost_of(replica, settle, command)
    assert walks == 0
    assert fetched < FETCHED_MAX
    moved_to = (await truth.sold(late.hold_id)).moved_to
    assert moved_to is not None
    assert [line.label for line in moved_to[:5]] == ["R00-4", "R00-5", "R00-6", "R00-7", "R00-8"]

    walks, fetched = await cost_of(replica, give_back, SaleReturn(hold_id=late.hold_id, return_id=new_id()))
    assert walks == 0
    assert fetched < FETCHED_MAX
    await truth.check([stadium.event_id])


async def test_what_was_planned_for_an_empty_hall_serves_a_stadium(dsn: str, replica: Replica) -> None:
    """One connection, and plans that it keeps: made before there was anything to see."""
    truth = await Truth.connect(dsn)
    try:
        small = await replica.shop.event(seats=1, standing=1)
        seat = small.seats[0]
        near = "SELECT count(*) FROM seats_near($1, $2, clock_timestamp())"
        general = "SELECT cardinality(lock_other_general($1, '{}', $2, clock_timestamp()))"
        tier = "SELECT tier_id FROM units WHERE event_id = $1 AND row_name IS NULL LIMIT 1"
        standing = await truth.conn.fetchval(tier, small.event_id)
        for _ in range(3):
            assert await truth.conn.fetchval(near, seat, NEAR_MAX) == 0
            assert await truth.conn.fetchval(general, standing, 50) == 1
        large = await _event(replica.shop)
        standing = await truth.conn.fetchval(tier, large.event_id)
        async with truth.conn.transaction():
            before = await read(truth.conn)
            assert await truth.conn.fetchval(near, large.seats[5000], NEAR_MAX) == 2 * NEAR_MAX
            assert await truth.conn.fetchval(general, standing, 50) == 50
            after = await read(truth.conn)
        assert after[0] == before[0]
        assert after[1] - before[1] < FETCHED_MAX
    finally:
        await truth.close()
