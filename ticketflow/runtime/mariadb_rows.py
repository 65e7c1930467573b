"""Many rows in one statement: MariaDB's protocol has no arrays."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from ticketflow.runtime.mariadb_answer import Check
from ticketflow.runtime.mariadb_text import LITERALS, Escape

Row = tuple[Any, ...]

# A statement stays far below max_allowed_packet (16 MiB by default), even when escaping doubles its bytes.
STATEMENT_BYTES_MAX = 1024 * 1024

# What JSON and MariaDB write alike, by the very type: JSON's word for others, such as bytes, means something else.
_ALIKE = frozenset((str, int, datetime, type(None)))
# Nor are these escapes the same for both: \uXXXX, which MariaDB does not have, and \f, which is an f there.
_OTHER_ESCAPES = (b"\\u", b"\\f")
_json = msgspec.json.Encoder()


class Values(NamedTuple):
    """``text``: all ``rows`` as they stand behind VALUES."""

    rows: Sequence[Row]
    text: str


async def insert(
    connection: Any, head: str, rows: Sequence[Row], tail: str = "", *, check: Check | None = None
) -> None:
    """``head``, such as ``INSERT INTO t (a, b)``, with as many statements as the bytes of ``rows`` need, each of which
    ends with ``tail``; none without rows. Values: None, int, str, bytes, datetimes in UTC without a zone, and whatever
    else the driver can escape. ``check`` is told each answer."""
    await insert_values(connection, head, values(rows, connection.escape), tail, check=check)


async def insert_values(
    connection: Any, head: str, written: Values, tail: str = "", *, check: Check | None = None
) -> None:
    """The same of rows that are written already."""
    rows, text = written
    if len(text) > STATEMENT_BYTES_MAX and len(rows) > 1:
        middle = len(rows) // 2
        await insert(connection, head, rows[:middle], tail, check=check)
        await insert(connection, head, rows[middle:], tail, check=check)
    elif rows:
        await connection.ask(f"{head} VALUES {text}{tail}", None, check)


def values(rows: Sequence[Row], escape: Escape) -> Values:
    """``rows``, written. ``escape``: a connection's."""
    text = _quickly(rows) if rows else ""
    if text is None:
        text = ",".join([f"({','.join([LITERALS.get(type(one), escape)(one) for one in row])})" for row in rows])
    return Values(rows, text)


def _quickly(rows: Sequence[Row]) -> str | None:
    """By JSON that MariaDB reads as its own, for a fifth of the time it takes to write value after value; None: these
    cannot be written so. Of bytes, which JSON does not have, a row may have one at its end."""
    bodies = [row[-1] for row in rows]
    if {bytes}.issuperset(map(type, bodies)):
        lines = _as_json([row[:-1] for row in rows])
        if lines is None:
            return None
        return ",".join(
            [f"({line[1:-1]},X'{body.hex()}')" for line, body in zip(lines.split("\n"), bodies, strict=True)]
        )
    lines = _as_json(rows)
    return None if lines is None else "(" + lines[1:-1].replace("]\n[", "),(") + ")"


def _as_json(rows: Sequence[Row]) -> str | None:
    """A line for each row: no value has a line's end in it, which is an escape in JSON. Sessions have no ANSI_QUOTES
    (see mariadb_driver.py): what stands in double quotes is text."""
    if not _ALIKE.issuperset(map(type, chain.from_iterable(rows))):
        return None
    try:
        lines = _json.encode_lines(rows)
    except (ValueError, msgspec.MsgspecError):  # half of a surrogate
        return None
    if any(escape in lines for escape in _OTHER_ESCAPES):  # or two backslashes before such a letter, which is rare too
        return None
    return lines[:-1].decode()
