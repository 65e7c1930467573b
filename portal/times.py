"""Between events' microseconds and a store's times: exact, unlike a float's."""

from datetime import UTC, datetime, timedelta
from typing import overload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(us: int) -> datetime:
    """Raises OverflowError beyond the year 9999."""
    return EPOCH + timedelta(microseconds=us)


def at(us: int | None) -> datetime | None:
    return None if us is None else time_of(us)


@overload
def us_of(time: datetime) -> int: ...
@overload
def us_of(time: datetime | None) -> int | None: ...
def us_of(time: datetime | None) -> int | None:
    return None if time is None else (time - EPOCH) // timedelta(microseconds=1)
