"""What the portal does beside consuming: counting what is parked, watching its relay."""

from portal import metrics, store
from ticketflow.delivery import Relays
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.postgres import Connection, PostgresPool

COUNT_EVERY_S = 10.0
RELAY_LATE_S = 30.0  # a failover of reservation's database takes 8 to 23 s


class ParkedCounter:
    """Keeps the gauge of parked messages, from which the alert is made."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        async with self._pool.acquire() as conn:
            metrics.PARKED_NOW.set(await store.parked_count(conn))
        return 0


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
