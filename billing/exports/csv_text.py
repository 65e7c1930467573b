"""Rows as CSV (RFC 4180, UTF-8, CRLF) that a spreadsheet cannot be tricked with. Pure.

A buyer chooses some of these texts. A spreadsheet takes a text that begins with ``= + - @`` for a formula, and runs it
for whoever opens the file; such a text gets an apostrophe before it, which spreadsheets show as text. Every text is in
quotes, so that a comma, quote, semicolon or line end in it begins no new cell. Numbers are ours; they are not in quotes
and may be below zero.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from billing.store.times import rfc3339, to_us

Cell: TypeAlias = str | int | datetime | None

# Also the wide forms, which spreadsheets of East Asian locales take for the same.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_CONTROL = ("\t", "\r", "\n", "\0")


def csv_bytes(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Times (UTC, without a zone) as RFC 3339, None as an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerows(map(_cells, rows))
    return text.getvalue().encode()


def _cells(row: Sequence[Cell]) -> list[str | int]:
    return [_cell(cell) for cell in row]


def _cell(cell: Cell) -> str | int:
    if isinstance(cell, str):
        return _harmless(cell)
    if isinstance(cell, datetime):
        return rfc3339(to_us(cell))
    return "" if cell is None else int(cell)


def _harmless(text: str) -> str:
    if text.startswith(_CONTROL) or text.lstrip().startswith(_FORMULA):
        return "'" + text
    return text
