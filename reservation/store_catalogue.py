"""The SQL of the catalogue: venues, halls, events and how many of their places are free."""

from collections.abc import Mapping, Sequence
from typing import Any

from reservation import bodies
from reservation.catalogue import PlacePlan, RowPlan, TierPlan, capacity, check_event, check_hall, places
from reservation.refusals import Refused
from ticketflow.events import new_id
from ticketflow.runtime.postgres import Connection, PostgresPool

# Instead of "or none is given": a plan that is made for both would walk over every page before the one that is wanted.
BEFORE_ALL = "00000000-0000-0000-0000-000000000000"
COPY_ROWS_MAX = 5000  # a second of foreign key checks at most, well below the statement time-out


async def make_venue(conn: Connection, wanted: bodies.MakeVenue) -> bodies.Venue:
    venue = bodies.Venue(venue_id=new_id(), name=wanted.name, city=wanted.city)
    await conn.execute(
        "INSERT INTO venues (venue_id, name, city) VALUES ($1, $2, $3)", venue.venue_id, venue.name, venue.city
    )
    return venue


async def make_hall(conn: Connection, wanted: bodies.MakeHall) -> bodies.Hall:
    """Raises Refused."""
    check_hall([RowPlan(row.row, row.seats) for row in wanted.rows])
    if not await conn.fetchval("SELECT true FROM venues WHERE venue_id = $1", wanted.venue_id):
        raise Refused("venue_unknown")
    hall = bodies.Hall(hall_id=new_id(), venue_id=wanted.venue_id, name=wanted.name, rows=wanted.rows)
    await conn.execute(
        "INSERT INTO halls (hall_id, venue_id, name) VALUES ($1, $2, $3)", hall.hall_id, hall.venue_id, hall.name
    )
    await conn.execute(
        """
        INSERT INTO hall_rows (hall_id, row_name, position, seats)
        SELECT $1, row_name, n - 1, seats
          FROM unnest($2::text[], $3::integer[]) WITH ORDINALITY AS r (row_name, seats, n)
        """,
        hall.hall_id,
        [row.row for row in wanted.rows],
        [row.seats for row in wanted.rows],
    )
    return hall


async def make_event(conn: Connection, wanted: bodies.MakeEvent) -> bodies.EventWithTiers:
    """The event with every place it sells. Raises Refused."""
    hall = await _hall(conn, wanted.hall_id)
    tiers = [TierPlan(tier.name, tier.price_minor, tier.rows, tier.capacity) for tier in wanted.tiers]
    check_event(wanted.starts_at, wanted.currency, tiers, hall, await conn.fetchval("SELECT clock_timestamp()"))
    event_id = new_id()
    tier_ids = {tier.name: new_id() for tier in tiers}
    await conn.execute(
        """
        INSERT INTO events (event_id, hall_id, name, starts_at, currency, hold_ttl_s, grace_s, seats_per_hold_max)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        event_id,
        wanted.hall_id,
        wanted.name,
        wanted.starts_at,
        wanted.currency,
        wanted.hold_ttl_s,
        wanted.grace_s,
        wanted.seats_per_hold_max,
    )
    await conn.executemany(
        """
        INSERT INTO tiers (tier_id, event_id, position, name, price_minor, numbered, capacity)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        [
            (
                tier_ids[tier.name],
                event_id,
                number,
                tier.name,
                tier.price_minor,
                tier.rows is not None,
                capacity(tier, hall),
            )
            for number, tier in enumerate(tiers)
        ],
    )
    await _copy_places(conn, event_id, tier_ids, list(places(tiers, hall)))
    return await read_event(conn, event_id)


async def _hall(conn: Connection, hall_id: str) -> Mapping[str, int]:
    rows = await conn.fetch("SELECT row_name, seats FROM hall_rows WHERE hall_id = $1", hall_id)
    if not rows:
        raise Refused("hall_unknown")
    return {row["row_name"]: row["seats"] for row in rows}


async def _copy_places(
    conn: Connection, event_id: str, tier_ids: Mapping[str, str], wanted: Sequence[PlacePlan]
) -> None:
    for start in range(0, len(wanted), COPY_ROWS_MAX):
        await conn.copy_records_to_table(
            "units",
            columns=("unit_id", "event_id", "tier_id", "label", "row_name", "number"),
            records=[
                (new_id(), event_id, tier_ids[place.tier], place.label, place.row, place.number)
                for place in wanted[start : start + COPY_ROWS_MAX]
            ],
        )


async def list_venues(pool: PostgresPool, limit: int, after: str | None) -> bodies.Venues:
    async with pool.acquire() as conn:
        rows = await conn.fetch(
            """
            SELECT venue_id::text, name, city FROM venues
             WHERE venue_id > $2 ORDER BY venues.venue_id LIMIT $1 + 1
            """,
            limit,
            after or BEFORE_ALL,
        )
    items, following = _page([bodies.Venue(**row) for row in rows], limit)
    return bodies.Venues(items=items, next=items[-1].venue_id if following else None)


async def read_venue(pool: PostgresPool, venue_id: str) -> bodies.VenueWithHalls:
    """Raises Refused `venue_unknown`."""
    async with pool.acquire() as conn:
        venue = await conn.fetchrow("SELECT venue_id::text, name, city FROM venues WHERE venue_id = $1", venue_id)
        if venue is None:
            raise Refused("venue_unknown")
        rows = await conn.fetch(
            """
            SELECT hall_id::text, name, row_name, seats FROM halls JOIN hall_rows USING (hall_id)
             WHERE venue_id = $1 ORDER BY hall_id, position
            """,
            venue_id,
        )
    halls: dict[str, bodies.Hall] = {}
    for row in rows:
        hall = halls.setdefault(
            row["hall_id"], bodies.Hall(hall_id=row["hall_id"], venue_id=venue_id, name=row["name"], rows=[])
        )
        hall.rows.append(bodies.Row(row=row["row_name"], seats=row["seats"]))
    return bodies.VenueWithHalls(**venue, halls=list(halls.values()))


# Of Event.
EVENT_COLUMNS = """
    event_id::text, hall_id::text, name, starts_at, currency, hold_ttl_s, grace_s, seats_per_hold_max, closed_at
"""


async def list_events(pool: PostgresPool, limit: int, after: str | None) -> bodies.Events:
    async with pool.acquire() as conn:
        rows = await conn.fetch(
            f"""
            SELECT {EVENT_COLUMNS} FROM events
             WHERE event_id > $2 ORDER BY event_id LIMIT $1 + 1
            """,  # noqa: S608 - a constant
            limit,
            after or BEFORE_ALL,
        )
    items, following = _page([bodies.Event(**row) for row in rows], limit)
    return bodies.Events(items=items, next=items[-1].event_id if following else None)


async def read_event(conn: Connection, event_id: str) -> bodies.EventWithTiers:
    """Raises Refused `event_unknown`."""
    event = await conn.fetchrow(f"SELECT {EVENT_COLUMNS} FROM events WHERE event_id = $1", event_id)  # noqa: S608
    if event is None:
        raise Refused("event_unknown")
    return bodies.EventWithTiers(**event, tiers=await _tiers(conn, event_id))


def _counts(row_name: str) -> str:
    """One condition for each of the four indexes: units_numbered_free, _held, units_general_free, _held."""
    own = f"FROM units AS u WHERE u.tier_id = t.tier_id AND u.row_name {row_name}"
    return f"""
        SELECT (SELECT count(*) {own} AND u.state = 'free') AS free,
               (SELECT count(*) {own} AND u.state = 'held' AND u.held_until <= statement_timestamp()) AS lapsed,
               (SELECT count(*) {own} AND u.state = 'held' AND u.held_until > statement_timestamp()) AS held
    """


# Of Tier. Counted in the indexes of what is free and of what is held: a tier has as many places as its capacity says,
# and to count the sold ones too Postgres would rather read the places of all events. What is held and over is free.
TIERS = f"""
    SELECT name, price_minor, numbered, capacity,
           free + lapsed AS free, held, capacity - free - lapsed - held AS sold
      FROM tiers AS t, LATERAL (
        {_counts("IS NOT NULL")} WHERE numbered UNION ALL {_counts("IS NULL")} WHERE NOT numbered
      ) AS counted
     WHERE event_id = $1 ORDER BY position
"""  # noqa: S608 - constants


async def _tiers(conn: Connection, event_id: str) -> list[bodies.Tier]:
    return [bodies.Tier(**row) for row in await conn.fetch(TIERS, event_id)]


def _page(items: list[Any], limit: int) -> tuple[list[Any], bool]:
    """The first ``limit`` items, and whether more follow."""
    return items[:limit], len(items) > limit
