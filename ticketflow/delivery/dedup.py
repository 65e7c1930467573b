"""Dedup for a source that has no seq, such as a queue: by event_id alone, in the transaction of the effect."""

from collections.abc import Sequence
from typing import Generic

from ticketflow.delivery.dialect import Arrival, ConnT, Dialect


class Deduplicator(Generic[ConnT]):
    """Remembers the events of ``source``; they share the dedup keys with all streams of the same database."""

    def __init__(self, dialect: Dialect[ConnT], source: str) -> None:
        self.source = source
        self._dialect = dialect

    async def first_time(self, conn: ConnT, event_id: str) -> bool:
        """Record ``event_id`` in the transaction of ``conn``; whether it was new. If another transaction is recording
        it at this moment, this waits for the outcome, or raises Retryable."""
        return bool(await self.first_times(conn, [event_id]))

    async def first_times(self, conn: ConnT, event_ids: Sequence[str]) -> set[str]:
        """The same for many at once: those that were new."""
        return await self._dialect.record(conn, self.source, [Arrival(event_id, None) for event_id in event_ids])
