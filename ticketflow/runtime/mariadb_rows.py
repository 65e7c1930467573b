"""Many rows in one statement, written out as text: MariaDB's protocol has no arrays, and the driver takes longer to
escape a value than the server takes to store it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

Row = Sequence[Any]

# A statement stays far below max_allowed_packet (16 MiB by default), even when escaping doubles its bytes.
STATEMENT_BYTES_MAX = 1024 * 1024


async def insert(connection: Any, head: str, rows: Sequence[Row]) -> None:
    """``head``, such as ``INSERT INTO t (a, b)``, with as many statements as the bytes of ``rows`` need; none without
    rows. Values: None, int, str, bytes, datetimes in UTC without a zone, and whatever else the driver can escape."""
    values: list[str] = []
    size = 0
    for row in rows:
        text = _row(connection, row)
        if size + len(text) > STATEMENT_BYTES_MAX and values:
            await _execute(connection, f"{head} VALUES {','.join(values)}")
            values, size = [], 0
        values.append(text)
        size += len(text)
    if values:
        await _execute(connection, f"{head} VALUES {','.join(values)}")


async def _execute(connection: Any, statement: str) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute(statement)


def _row(connection: Any, row: Row) -> str:
    # By the very type: a subclass (an enum, say) may mean something else by itself, and is the driver's to escape.
    return f"({','.join([_LITERALS.get(type(value), connection.escape)(value) for value in row])})"


def _text(value: str) -> str:
    """Sessions have no NO_BACKSLASH_ESCAPES (see mariadb_driver.py); in quotes nothing but these two is special."""
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "'" in value:
        value = value.replace("'", "\\'")
    return f"'{value}'"


def _bytes(value: bytes) -> str:
    return f"X'{value.hex()}'"


def _moment(value: datetime) -> str:
    return f"'{value.isoformat(' ')}'"


def _null(_value: None) -> str:
    return "NULL"


_LITERALS: dict[type, Callable[[Any], str]] = {
    str: _text,
    bytes: _bytes,
    int: str,
    datetime: _moment,
    type(None): _null,
}
