"""DATETIME(6) columns hold UTC; the driver gives and takes them without a zone."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  as the columns are
_MICROSECOND = timedelta(microseconds=1)


def of_us(us: int) -> datetime:
    """The column's value for microseconds since the Unix epoch."""
    return _EPOCH + timedelta(microseconds=us)


def to_us(value: datetime) -> int:
    return (value - _EPOCH) // _MICROSECOND


def to_utc(value: datetime) -> datetime:
    """With its zone, for JSON."""
    return value.replace(tzinfo=UTC)


def rfc3339(us: int) -> str:
    """As in every JSON body: UTC, six digits."""
    return of_us(us).isoformat(timespec="microseconds") + "Z"
