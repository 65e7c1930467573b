"""Statements that do not wait for each other's answers, sent as one: a round trip costs more than most of them.

Laws of this file:
- They are parts of one statement (data-modifying CTEs), so all of them see the database as it was before it, and are
  carried out in no order but that in which one reads what another returns. No two may write to the same row.
- Foreign keys among their rows are checked at its end.
- It fails as a whole.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import asyncpg

from ticketflow.runtime.postgres import Connection

STANDING = "WHERE (SELECT whole FROM standing)"  # of what may be written once all sales of a fold are there
TEXTS_MAX = 256  # remembered; there are as many as combinations of parts that occur
_PARAMETER = re.compile(r"\$(\d+)")


class Part(NamedTuple):
    """``statement`` numbers its parameters from $1; other parts may read what it returns by its ``name``."""

    name: str
    statement: str
    arguments: tuple[Any, ...]


class Together:
    """Takes statements, those without a name as a connection does; ``send`` sends what was taken."""

    def __init__(self, parts: Sequence[Part] = ()) -> None:
        self.parts = list(parts)

    def add(self, name: str, statement: str, *arguments: Any) -> None:
        self.parts.append(Part(name, statement, arguments))

    def add_rows(self, name: str, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """One array for each column; nothing when there is no row."""
        if rows:
            self.add(name, statement, *map(list, zip(*rows, strict=True)))

    async def execute(self, statement: str, *arguments: Any) -> str:
        """What is returned here says nothing."""
        self.add(f"also_{len(self.parts)}", statement, *arguments)
        return ""

    async def send(self, conn: Connection, answer: str) -> list[asyncpg.Record]:
        """``answer``: a SELECT from what the parts return."""
        text = _joined(answer, tuple((part.name, part.statement, len(part.arguments)) for part in self.parts))
        return await conn.fetch(text, *(argument for part in self.parts for argument in part.arguments))


@lru_cache(TEXTS_MAX)
def _joined(answer: str, parts: tuple[tuple[str, str, int], ...]) -> str:
    texts, before = list[str](), 0
    for name, statement, arguments in parts:
        texts.append(f"{name} AS ({_after(before, statement)})")
        before += arguments
    return f"WITH {', '.join(texts)} {answer}"


def _after(before: int, statement: str) -> str:
    """Its parameters numbered from ``before`` + 1."""
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + before}", statement)
