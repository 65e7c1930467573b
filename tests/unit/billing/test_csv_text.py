"""CSV that every reader understands alike, and no spreadsheet runs."""

import csv
import io
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.exports.csv_text import Cell, csv_bytes


def test_lines_are_those_of_rfc_4180() -> None:
    at = datetime(2026, 11, 21, 8, 5, 0, 7)  # noqa: DTZ001  as the columns are
    rows: list[tuple[Cell, Cell]] = [
        ("name", "amount_minor"),
        ('The "Ring", part 1', -250),
        ("two\r\nlines; ü", None),
        (at, 0),
    ]
    assert csv_bytes(rows).decode() == (
        '"name","amount_minor"\r\n'
        '"The ""Ring"", part 1",-250\r\n'
        '"two\r\nlines; ü",""\r\n'
        '"2026-11-21T08:05:00.000007Z",0\r\n'
    )


def test_no_rows_are_no_bytes() -> None:
    assert csv_bytes([]) == b""


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://x","y")',
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\uff1d1+1",
        "\0=1",
    ],
)
def test_a_text_that_would_be_a_formula_is_shown_as_text(text: str) -> None:
    assert csv_bytes([[text]]).decode() == "\"'" + text.replace('"', '""') + '"\r\n'


def test_an_amount_below_zero_stays_a_number() -> None:
    assert csv_bytes([[-5]]) == b"-5\r\n"


CELLS = st.one_of(st.none(), st.integers(), st.text(st.characters(exclude_categories=["Cs"])))


@given(st.lists(st.lists(CELLS, min_size=2, max_size=5), max_size=5))
def test_whatever_is_written_is_read_again_and_is_no_formula(rows: list[list[str | int | None]]) -> None:
    read = list(csv.reader(io.StringIO(csv_bytes(rows).decode(), newline=""), strict=True))
    assert [len(row) for row in read] == [len(row) for row in rows]
    for given_row, row in zip(rows, read, strict=True):
        for cell, text in zip(given_row, row, strict=True):
            assert text.removeprefix("'") == ("" if cell is None else str(cell)).removeprefix("'")
            assert not isinstance(cell, str) or text[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")
