"""Times as events carry them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us_of(time: datetime) -> int:
    """Microseconds since the Unix epoch."""
    return (time - EPOCH) // timedelta(microseconds=1)
