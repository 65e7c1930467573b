"""What the portal does beside consuming: counting what is parked, watching its relay."""

from functools import partial

from portal import metrics, store, store_parked
from ticketflow.delivery import ParkedWatch, PostgresDialect, Relays
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.postgres import Connection, PostgresPool

COUNT_EVERY_S = 10.0
RELAY_LATE_S = 30.0  # a failover of reservation's database takes 8 to 23 s


class ParkedCounter:
    """Keeps the gauges of parked messages, from which the alert is made; ``stream``: whose events they are."""

    def __init__(self, pool: PostgresPool, dialect: PostgresDialect, stream: str) -> None:
        self._pool = pool
        self._watch = ParkedWatch(pool, dialect, stream, partial(store_parked.counts, stream=stream))

    async def run_once(self) -> int:
        async with self._pool.acquire() as conn:
            metrics.PARKED_NOW.set(await store.parked_count(conn))
        return await self._watch.run_once()


class RelayCheck:
    """For /readyz: reservation takes what is staged for it."""

    def __init__(self, relay: Relays[Connection]) -> None:
        self._relay = relay

    async def check(self) -> None:
        """Raises Unavailable while a command has waited for RELAY_LATE_S."""
        backlog = self._relay.backlog
        if backlog is not None and backlog.oldest_age_s > RELAY_LATE_S:
            raise Unavailable(
                f"{backlog.unacked} commands wait for reservation, the oldest for {backlog.oldest_age_s:.0f} s"
            )
