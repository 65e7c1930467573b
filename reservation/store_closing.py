"""The SQL of closing an event, and of opening it again.

No sale locks or updates the row of an event, so that a request which is being decided while its event is closed may
still get its hold. Whoever has to know that no more will come looks again when such a request must be over.
"""

from reservation import bodies
from reservation.store_catalogue import read_event
from ticketflow.runtime.errors import Indefinite, Retryable
from ticketflow.runtime.postgres import PostgresPool
from ticketflow.runtime.retry import retrying


async def close_event(pool: PostgresPool, event_id: str) -> bodies.EventWithTiers:
    """No hold is placed from now on. Once more changes nothing. Raises Refused `event_unknown`."""
    return await _change(
        pool, event_id, "UPDATE events SET closed_at = clock_timestamp() WHERE event_id = $1 AND closed_at IS NULL"
    )


async def open_event(pool: PostgresPool, event_id: str) -> bodies.EventWithTiers:
    """Holds are placed again. Once more changes nothing. Raises Refused `event_unknown`."""
    return await _change(pool, event_id, "UPDATE events SET closed_at = NULL WHERE event_id = $1")


async def _change(pool: PostgresPool, event_id: str, update: str) -> bodies.EventWithTiers:
    async def attempt() -> bodies.EventWithTiers:
        async with pool.transaction() as conn:
            await conn.execute(update, event_id)
            return await read_event(conn, event_id)

    return await retrying(attempt, on=(Retryable, Indefinite))  # doing it twice does no harm
