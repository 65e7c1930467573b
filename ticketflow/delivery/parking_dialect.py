"""What the commands on parked events ask of a store, beside what delivery itself does. Laws as in dialect.py."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ticketflow.delivery.dialect import ConnInT, Dialect, ParkReason

ROWS_MAX = 100
"""How many are listed unless more are asked for."""


class ParkedEvent(NamedTuple):
    """An event that is set aside, as people see it. ``id`` is short, and of this store only."""

    id: str
    stream: str
    epoch: int | None  # None where the source has no positions
    seq: int | None
    event_id: str | None  # None, and key and kind may be empty, when the body is no event
    key: str
    kind: str
    reason: ParkReason
    detail: str
    attempts: int
    age_s: float
    behind: int  # how many later events of its key are parked
    body: bytes  # empty in a list


class Wanted(NamedTuple):
    """Which parked events. Only the first of each key, which the others wait for, unless ``every``."""

    stream: str | None = None
    key: str | None = None
    reason: str | None = None
    every: bool = False
    rows_max: int = ROWS_MAX


class ParkedCount(NamedTuple):
    """How many are parked in ``stream`` for ``reason``, and how long the oldest of them has been."""

    stream: str
    reason: str
    events: int
    oldest_age_s: float


class ParkingDialect(Dialect[ConnInT], Protocol):
    """The named statements of parking.py. See postgres_parking.py and mariadb_parking.py."""

    async def hold_parked(self, conn: ConnInT, stream: str) -> None:
        """Lock the receiving end of ``stream``, all its lanes, and change it: until this transaction ends nothing of it
        is applied or parked, on any node of the store."""
        ...

    async def list_parked(self, conn: ConnInT, wanted: Wanted) -> list[ParkedEvent]:
        """In order of parking, without bodies."""
        ...

    async def find_parked(self, conn: ConnInT, target: str) -> ParkedEvent | None:
        """The first whose id, event id or key is ``target``, tried in this order."""
        ...

    async def parked_event(self, conn: ConnInT, parked_id: str) -> ParkedEvent | None: ...

    async def first_parked(self, conn: ConnInT, stream: str, key: str) -> str | None:
        """The id of the first event of ``key``, which the others wait for."""
        ...

    async def unpark(self, conn: ConnInT, parked_id: str) -> bool:
        """Remove the row; its dedup key stays."""
        ...

    async def identify_parked(self, conn: ConnInT, parked_id: str, event_id: str, key: str, kind: str) -> bool:
        """Note what a body turned out to be that had been no event."""
        ...

    async def note_parked(
        self, conn: ConnInT, parked_id: str, reason: ParkReason, detail: str, attempts: int
    ) -> bool: ...

    async def count_parked(self, conn: ConnInT) -> list[ParkedCount]:
        """By stream and reason."""
        ...

    async def count_audits(self, conn: ConnInT, actions: Sequence[str]) -> dict[str, int]:
        """How many rows of the audit table there are of each action; an action without rows is left out."""
        ...
