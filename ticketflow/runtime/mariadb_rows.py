"""Many rows in one statement: MariaDB's protocol has no arrays."""

from collections.abc import Sequence
from typing import Any

from ticketflow.runtime.mariadb_answer import Check
from ticketflow.runtime.mariadb_text import LITERALS

Row = Sequence[Any]

# A statement stays far below max_allowed_packet (16 MiB by default), even when escaping doubles its bytes.
STATEMENT_BYTES_MAX = 1024 * 1024


async def insert(
    connection: Any, head: str, rows: Sequence[Row], tail: str = "", *, check: Check | None = None
) -> None:
    """``head``, such as ``INSERT INTO t (a, b)``, with as many statements as the bytes of ``rows`` need, each of which
    ends with ``tail``; none without rows. Values: None, int, str, bytes, datetimes in UTC without a zone, and whatever
    else the driver can escape. ``check`` is told each answer."""
    values: list[str] = []
    size = 0
    escape = connection.escape
    for row in rows:
        text = f"({','.join([LITERALS.get(type(value), escape)(value) for value in row])})"
        if size + len(text) > STATEMENT_BYTES_MAX and values:
            await connection.ask(f"{head} VALUES {','.join(values)}{tail}", None, check)
            values, size = [], 0
        values.append(text)
        size += len(text)
    if values:
        await connection.ask(f"{head} VALUES {','.join(values)}{tail}", None, check)
