"""What many rows in one statement say to the server: every value comes back as it was, however the row was written."""

import random
import secrets
from datetime import datetime, timedelta
from typing import Any

import pymysql.err
import pytest

from tests.integration.runtime.kits import MariaDBKit
from ticketflow.runtime.mariadb import query
from ticketflow.runtime.mariadb_rows import STATEMENT_BYTES_MAX, insert, values

TABLE = (
    "CREATE OR REPLACE TEMPORARY TABLE kept (n INT PRIMARY KEY,"
    " text LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, number BIGINT, at DATETIME(6), bytes LONGBLOB)"
)
HEAD = "INSERT INTO kept (n, text, number, at, bytes)"
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  as columns are
ODD = (
    "",
    "'",
    '"',
    "\\",
    "\\u0041",  # no escape, but two characters more
    "\\f",
    "a\\",
    '\\"',
    "],[",
    "]\n[",
    "),(",
    "%s %(n)s %",
    ";SELECT 1;--",
    "/* */ # -- ",
    "\U0001f3ab É \u2028 \ufeff \ufffd",
    *(chr(code) for code in range(32)),
    "\x7f\x80\x9f",
)


async def kept(mariadb: MariaDBKit, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    pool = await mariadb.pool()
    async with pool.acquire() as connection:
        await connection.ask(TABLE)
        await insert(connection, HEAD, rows)
        found = await query(connection, "SELECT n, text, number, at, bytes FROM kept ORDER BY n")
    return [tuple(row.values()) for row in found]


@pytest.mark.parametrize("beside", [None, b"\x00\xff'\"\\\n"], ids=["as JSON", "beside bytes"])
async def test_every_odd_text_comes_back_as_it_was(mariadb: MariaDBKit, beside: bytes | None) -> None:
    for text in ODD:  # alone, so that one that cannot be JSON does not decide for the others
        rows = [(1, text, None, None, beside), (2, f"x{text}y{text}", -1, EPOCH, beside)]
        assert await kept(mariadb, rows) == rows, repr(text)
    rows = [(number, text, number, None, beside) for number, text in enumerate(ODD)]
    assert await kept(mariadb, rows) == rows


async def test_so_does_whatever_chance_makes(mariadb: MariaDBKit) -> None:
    seed = secrets.randbits(32)
    print("seed", seed)
    chance = random.Random(seed)

    def text() -> str:
        alphabet = chance.choice(("ab'\"\\],[(\n", "É\u20ac\U0001f3ab\u2028", "".join(map(chr, range(128)))))
        return "".join(chance.choices(alphabet, k=chance.randrange(12)))

    def row(number: int) -> tuple[Any, ...]:
        at = EPOCH + timedelta(microseconds=chance.randrange(253_402_300_800_000_000))
        return (
            number,
            chance.choice((None, text())),
            chance.choice((None, 0, -(2**63), 2**63 - 1, chance.randrange(1000))),
            chance.choice((None, at, at.replace(microsecond=0))),
            None,
        )

    for _ in range(40):
        rows = [row(number) for number in range(chance.randrange(1, 60))]
        assert await kept(mariadb, rows) == rows


async def test_more_than_a_statement_holds_are_several(mariadb: MariaDBKit) -> None:
    rows = [(number, "x" * (STATEMENT_BYTES_MAX // 3), None, None, None) for number in range(7)]
    assert await kept(mariadb, rows) == rows


async def test_no_rows_are_no_statement(mariadb: MariaDBKit) -> None:
    assert await kept(mariadb, []) == []


@pytest.mark.parametrize(
    ("number", "error"), [(2**63, pymysql.err.DataError), (2**70, pymysql.err.DataError)], ids=["64 bits", "more"]
)
async def test_a_number_that_is_too_large_is_the_servers_error(
    mariadb: MariaDBKit, number: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await kept(mariadb, [(1, "text", number, None, None)])


def test_plain_rows_are_written_as_json_and_others_value_by_value() -> None:
    plain = [(1, "text", 2, EPOCH, None), (2, "it's", None, None, None)]
    assert values(plain, repr).text == '(1,"text",2,"1970-01-01T00:00:00",null),(2,"it\'s",null,null,null)'
    bodies = [("it's", b"\x00\xff"), (None, b"")]
    assert values(bodies, repr).text == "(\"it's\",X'00ff'),(null,X'')"
    assert values([(b"\x00", 1)], repr).text == "(X'00',1)"
    for other in (b"\x00", True, "\x00", "\x0c", "\ud800"):
        text = values([(1, "text"), (2, other)], repr).text
        assert text.startswith("(1,'text'),(2,"), repr(other)
