"""How numbers are written for people."""

from datetime import UTC, datetime

NOTHING = "\u2013"  # a dash as wide as a digit


def seconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def milliseconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


def count(value: float | None) -> str:
    """Thousands apart by a thin space."""
    return NOTHING if value is None else f"{value:,.0f}".replace(",", "\u202f")


def at(second: float) -> str:
    """A moment of the drill: 1:07.3."""
    return f"{int(second // 60)}:{second % 60:04.1f}"


def when(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
