"""Many rows in one statement: MariaDB's protocol has no arrays."""

from collections.abc import Sequence
from typing import Any

from ticketflow.runtime.mariadb_answer import Check
from ticketflow.runtime.mariadb_text import LITERALS, Escape

Row = Sequence[Any]

# A statement stays far below max_allowed_packet (16 MiB by default), even when escaping doubles its bytes.
STATEMENT_BYTES_MAX = 1024 * 1024


async def insert(
    connection: Any, head: str, rows: Sequence[Row], tail: str = "", *, check: Check | None = None
) -> None:
    """``head``, such as ``INSERT INTO t (a, b)``, with as many statements as the bytes of ``rows`` need, each of which
    ends with ``tail``; none without rows. Values: None, int, str, bytes, datetimes in UTC without a zone, and whatever
    else the driver can escape. ``check`` is told each answer."""
    await insert_written(connection, head, written(rows, connection.escape), tail, check=check)


async def insert_written(
    connection: Any, head: str, texts: Sequence[str], tail: str = "", *, check: Check | None = None
) -> None:
    """The same of rows that are ``written`` already."""
    first = size = 0
    for number, text in enumerate(texts):
        if size + len(text) > STATEMENT_BYTES_MAX and size:
            await connection.ask(f"{head} VALUES {','.join(texts[first:number])}{tail}", None, check)
            first, size = number, 0
        size += len(text)
    if size:
        await connection.ask(f"{head} VALUES {','.join(texts[first:])}{tail}", None, check)


def written(rows: Sequence[Row], escape: Escape) -> list[str]:
    """``rows`` as they stand behind VALUES. ``escape``: a connection's."""
    return [f"({','.join([LITERALS.get(type(value), escape)(value) for value in row])})" for row in rows]
