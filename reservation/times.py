"""Times as events carry them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def us_of(time: datetime) -> int:
    """Microseconds since the Unix epoch."""
    return (time - EPOCH) // MICROSECOND
