"""What reservation's store says: holds, their places, and who has them. Postgres; reads only."""

from collections.abc import Sequence

from audit.money.sides import HeldPlace, Hold
from ticketflow.runtime.postgres import Connection


async def ids_after(conn: Connection, after: str | None, limit: int, event_id: str | None) -> list[str]:
    """Holds in the order of their ids."""
    rows = await conn.fetch(
        """
        SELECT hold_id::text FROM holds
         WHERE ($1::uuid IS NULL OR hold_id > $1) AND ($3::uuid IS NULL OR event_id = $3)
         ORDER BY holds.hold_id LIMIT $2  -- not by the text above, which is in no index
        """,
        after,
        limit,
        event_id,
    )
    return [row[0] for row in rows]


async def holds(conn: Connection, ids: Sequence[str]) -> dict[str, Hold]:
    places: dict[str, list[HeldPlace]] = {}
    for hold_id, *place in await conn.fetch(
        """
        SELECT line.hold_id::text, line.unit_id::text, line.price_minor, (u.place).state, (u.place).hold_id::text,
               can_be_taken(u.place, clock_timestamp())
          FROM unnest($1::uuid[]) AS wanted (hold_id)
         CROSS JOIN LATERAL (SELECT * FROM hold_units WHERE hold_id = wanted.hold_id OFFSET 0) AS line
         CROSS JOIN LATERAL (SELECT units AS place FROM units WHERE unit_id = line.unit_id OFFSET 0) AS u
         ORDER BY line.hold_id, line.unit_id
        """,
        ids,
    ):
        places.setdefault(hold_id, []).append(HeldPlace(*place))
    rows = await conn.fetch(
        """
        SELECT hold_id::text, event_id::text, buyer_id, state, payment_id::text, total_minor, currency,
               extract(epoch FROM clock_timestamp() - greatest(placed_at, ended_at))::float8 AS age_s
          FROM holds WHERE hold_id = ANY ($1::uuid[])
        """,
        ids,
    )
    return {row[0]: Hold(*(*row, tuple(places.get(row[0], ())))) for row in rows}


async def seats(conn: Connection, event_id: str | None) -> dict[str, dict[str, int]]:
    """By event and state: how many places."""
    found: dict[str, dict[str, int]] = {}
    for event, state, count in await conn.fetch(
        """
        SELECT event_id::text, state, count(*) FROM units WHERE $1::uuid IS NULL OR event_id = $1 GROUP BY 1, 2
        """,
        event_id,
    ):
        found.setdefault(event, {})[state] = count
    return found
