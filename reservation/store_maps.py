"""The SQL of seat maps: what never changes of an event's places, and the states that they are in."""

from datetime import datetime
from typing import NamedTuple

from reservation.maps.plan import MapPlan, Place, TierPlan
from reservation.refusals import Refused
from ticketflow.runtime.postgres import Connection

SLICE_PLACES = 2000  # made into a map at a stretch, in 5 ms, before anybody else has his turn

# The ids of an event's places lie side by side: from the first to the last, the primary key gives them in order.
# IS TRUE hides the event from the planner, who may think that its own index and a sort cost less; so may he of all rows
# of the range, where they lie about: with a limit, what has an order to begin with is the cheapest. One more than the
# plan has, so that what is too many is seen.
STATES = """
    SELECT statement_timestamp(), coalesce(string_agg(letter, ''), '') FROM (
        SELECT CASE state WHEN 'free' THEN 'f' WHEN 'sold' THEN 's'
                          ELSE CASE WHEN held_until <= statement_timestamp() THEN 'f' ELSE 'h' END END AS letter
          FROM units WHERE unit_id BETWEEN $2 AND $3 AND (event_id = $1) IS TRUE ORDER BY unit_id
         LIMIT $4
    ) AS shown
"""


class States(NamedTuple):
    """``states``: a letter for each place, in the order of their ids."""

    as_of: datetime
    states: bytes


async def read_plan(conn: Connection, event_id: str) -> MapPlan:
    """Raises Refused `event_unknown`."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        tiers = await conn.fetch(
            """
            SELECT tier_id::text, name, price_minor, numbered, capacity FROM tiers WHERE event_id = $1 ORDER BY position
            """,
            event_id,
        )
        if not tiers:
            raise Refused("event_unknown")
        plan = MapPlan(event_id, [TierPlan(*tier) for tier in tiers])
        cursor = await conn.cursor(
            """
            SELECT unit_id::text, tier_id::text, label, row_name, number
              FROM units WHERE event_id = $1 ORDER BY units.unit_id
            """,
            event_id,
        )
        while places := await cursor.fetch(SLICE_PLACES):
            plan.add(Place(*place) for place in places)
    return plan


async def read_states(conn: Connection, plan: MapPlan) -> States:
    """What anybody would see: a place whose hold is over is free. The same rule as can_be_taken in schema/0003."""
    row = await conn.fetchrow(
        STATES,
        plan.event_id,
        plan.first_id,
        plan.last_id,
        plan.places + 1,
    )
    assert row is not None
    return States(row[0], row[1].encode())


async def written(conn: Connection) -> str:
    """How far the primary's log goes: every commit that was answered lies before."""
    position: str = await conn.fetchval("SELECT pg_current_wal_lsn()::text")
    return position


async def has_replayed(conn: Connection, position: str) -> bool:
    """Whether a later statement of ``conn`` sees all that lies before ``position``."""
    return bool(
        await conn.fetchval(
            """
            SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
                   >= $1::text::pg_lsn
            """,
            position,
        )
    )
