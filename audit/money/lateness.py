"""How late events are: of what has changed since the oldest that is on its way, the other stores cannot know yet."""

from audit.money.stores import Stores
from ticketflow.delivery import MariaDBDialect, PostgresDialect
from ticketflow.delivery.history import End
from ticketflow.runtime.mariadb import query


async def lateness_s(stores: Stores) -> float:
    """The age of the oldest event that is still on its way to another store; 0: there is none."""
    ends: list[End] = [end for history in stores.histories.values() for end in await history.ends()]
    late_s = [end.oldest_age_s for end in ends if end.unacked and end.oldest_age_s is not None]
    # What waits in a stream that was never sent is among no ends.
    for name, store in (("reservation", stores.reservation), ("portal", stores.portal)):
        async with store.transaction(snapshot=True) as conn:
            late_s.append((await PostgresDialect().backlog(conn, name)).oldest_age_s)
    async with stores.billing.acquire() as billing:
        late_s.append((await MariaDBDialect().backlog(billing, "billing")).oldest_age_s)
    return max(*late_s, await _in_queues_s(stores, ends))


async def _in_queues_s(stores: Stores, ends: list[End]) -> float:
    """Of what the bridge has acknowledged and the portal has not settled: it is in the broker."""
    sent = {(end.stream, end.epoch): end for end in ends if end.side == "out"}
    oldest_s = 0.0
    async with stores.billing.acquire() as billing:
        for end in ends:
            out = sent.get((end.stream, end.epoch))
            if end.side == "in" and out is not None and end.upto_seq < out.upto_seq:
                rows = await query(
                    billing,
                    """
                    SELECT TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) / 1000000 AS age_s
                    FROM delivery_outbox WHERE stream = %s AND seq > %s ORDER BY seq LIMIT 1
                    """,
                    (end.stream, end.upto_seq),
                )
                oldest_s = max(oldest_s, *(float(row["age_s"]) for row in rows), 0.0)
    return oldest_s
