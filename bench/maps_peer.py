"""The seat map as it was made before: one query a reader, its JSON made by Postgres. ``python -m bench.maps_peer``.

The same HTTP server, pool and loop as the service's; the SQL is what reservation ran until it kept maps in memory.
"""

import asyncio
import os
import sys
from datetime import datetime
from typing import Any

import msgspec

from bench import process
from reservation import bodies
from ticketflow.runtime.health import Health
from ticketflow.runtime.http import HttpServer, Reply, Request, Route
from ticketflow.runtime.postgres import PostgresPool

CONNECTIONS = 8  # as many as the service gives its buyers

SHOWN_STATE = "CASE WHEN u.state = 'held' AND u.held_until <= statement_timestamp() THEN 'free' ELSE u.state END"


async def read_availability(pool: PostgresPool, event_id: str) -> bodies.Availability:
    async with pool.transaction() as conn:
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        as_of: datetime = await conn.fetchval("SELECT statement_timestamp() FROM events WHERE event_id = $1", event_id)
        tiers = await conn.fetch(
            f"""
            SELECT t.name, t.price_minor, t.numbered, t.capacity,
                   count(*) FILTER (WHERE {SHOWN_STATE} = 'free') AS free,
                   count(*) FILTER (WHERE {SHOWN_STATE} = 'held') AS held,
                   count(*) FILTER (WHERE {SHOWN_STATE} = 'sold') AS sold
              FROM tiers AS t JOIN units AS u USING (tier_id) WHERE u.event_id = $1
             GROUP BY t.tier_id ORDER BY t.position
            """,  # noqa: S608 - a constant
            event_id,
        )
        seats: str = await conn.fetchval(
            f"""
            SELECT coalesce(json_agg(json_build_object('seat_id', unit_id, 'label', label, 'row', row_name,
                       'number', number, 'tier', name, 'state', {SHOWN_STATE}) ORDER BY unit_id), '[]')
              FROM units AS u JOIN tiers USING (tier_id) WHERE u.event_id = $1 AND row_name IS NOT NULL
            """,  # noqa: S608 - a constant
            event_id,
        )
    passed_on: Any = msgspec.Raw(seats.encode())
    return bodies.Availability(
        event_id=event_id, as_of=as_of, tiers=[bodies.Tier(**tier) for tier in tiers], seats=passed_on
    )


async def serve(dsn: str, port: int) -> None:
    pool = PostgresPool(dsn, name="peer", size_max=CONNECTIONS, acquire_timeout_s=10)
    await pool.open()

    async def answer(request: Request) -> Reply:
        return Reply(200, await read_availability(pool, request.path["event_id"]))

    route = Route(method="GET", path="/api/v1/events/{event_id}/availability", handler=answer, summary="The seat map")
    server = HttpServer(
        [route], title="peer", version="0", host="127.0.0.1", port=port, admin_key=None, health=Health()
    )
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    process.run(serve(os.environ["BENCH_DSN"], int(sys.argv[1])))
