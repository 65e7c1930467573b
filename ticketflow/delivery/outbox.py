"""Staging: events enter the outbox in the transaction of the state change they tell of.

Laws: the transaction is the caller's and is never committed here; nothing here waits for the feed.
"""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol

from ticketflow.delivery.dialect import ConnT, Dialect, StagedRow
from ticketflow.events import Envelope, encode


class Settable(Protocol):
    """An asyncio.Event, or whatever else can be set."""

    def set(self) -> None: ...


class Outbox(Generic[ConnT]):
    """The outbox of one stream.

    Events of one key keep their order if the caller holds a lock on the aggregate when it stages, as every state change
    does; events of different keys have no order among each other.
    """

    def __init__(self, dialect: Dialect[ConnT], stream: str) -> None:
        self.stream = stream
        self._dialect = dialect
        self._wakes: list[Callable[[], None]] = []

    async def stage(self, conn: ConnT, events: Sequence[Envelope]) -> None:
        """Insert ``events``, in order, in the transaction of ``conn``. Raises BadEvent when one is too large."""
        if events:
            rows = [StagedRow(event.id, event.key, event.kind, encode(event)) for event in events]
            await self._dialect.stage(conn, self.stream, rows)

    def notify(self) -> None:
        """After COMMIT: wake the relay of this process, if it has one. Never needed, only faster than a poll."""
        for wake in self._wakes:
            wake()

    def wakes(self, event: Settable) -> None:
        """Have ``notify`` set ``event``, such as a relay's ``wake``."""
        self._wakes.append(event.set)
