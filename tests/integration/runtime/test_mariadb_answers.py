"""What the quick way to ask gives is what the driver gives, value by value; so does what goes wrong."""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Any

import pymysql.err
import pytest

from tests.integration.runtime.kits import MariaDBKit
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.mariadb import execute, query

QUESTIONS = (
    "SELECT 1",
    "SELECT NULL, '', 'text', 'É and \U0001f3ab', -7, 18446744073709551615, 1.5, 1e300, 12.50",
    "SELECT x'00ff', CAST('x' AS BINARY), b'101', DATE '2026-02-01', TIME '26:00:01.5'",
    "SELECT TIMESTAMP '2026-02-01 10:20:30', CAST('2026-02-01 10:20:30.000007' AS DATETIME(6))",
    "SELECT JSON_OBJECT('a', 1), SUM(seq), AVG(seq) FROM seq_1_to_10",
    "SELECT seq, REPEAT('é', seq) FROM seq_1_to_300",
    "SELECT REPEAT('a', 250), REPEAT('b', 251), REPEAT('c', 70000), 'behind'",
    "SELECT 1 AS n WHERE FALSE",
    "SELECT seq AS a, seq AS b FROM seq_1_to_3",
)


async def as_driver(connection: Any, statement: str) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
        return tuple(column[0] for column in cursor.description), tuple(await cursor.fetchall())


@pytest.mark.parametrize("statement", QUESTIONS)
async def test_every_value_is_the_one_that_the_driver_gives(mariadb: MariaDBKit, statement: str) -> None:
    pool = await mariadb.pool()
    async with pool.acquire() as connection:
        for _ in range(2):  # the second time its columns are known
            asked = await connection.ask(statement)
            assert (asked.names, asked.rows) == await as_driver(connection, statement)
            for mine, theirs in zip(asked.rows, (await as_driver(connection, statement))[1], strict=True):
                assert [type(value) for value in mine] == [type(value) for value in theirs]


VALUES = (
    "",
    'it\'s a \\ and a "quote" \x00 \n \x1a % %s',
    "\U0001f3ab É",
    b"",
    bytes(range(256)),
    None,
    0,
    -(2**63),
    True,
    Decimal("12.50"),
    datetime(2026, 2, 1, 10, 20, 30),  # noqa: DTZ001  as columns are
    datetime(2026, 2, 1, 10, 20, 30, 7),  # noqa: DTZ001
)


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_parameter_arrives_as_it_was_given(mariadb: MariaDBKit, value: Any) -> None:
    pool = await mariadb.pool()
    kind = {datetime: "DATETIME(6)", bytes: "BLOB", Decimal: "DECIMAL(5, 2)", int: "BIGINT", bool: "BOOLEAN"}
    async with pool.acquire() as connection:
        column = kind.get(type(value), "TEXT CHARACTER SET utf8mb4")
        await execute(connection, f"CREATE OR REPLACE TEMPORARY TABLE kept (v {column} NULL, n INT)")
        assert await execute(connection, "INSERT INTO kept VALUES (%s, 1)", (value,)) == 1
        assert await query(connection, "SELECT v FROM kept WHERE n IN %s", ([1, 2],)) == [{"v": value}]
        assert await query(connection, "SELECT n FROM kept WHERE v <=> %(v)s", {"v": value}) == [{"n": 1}]


async def test_an_answer_of_many_packets_and_many_bytes_is_read_whole(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.acquire() as connection:
        large = await connection.ask("SELECT seq, REPEAT('x', 20000) FROM seq_1_to_2000")
        assert [row[0] for row in large.rows] == list(range(1, 2001))
        assert {len(row[1]) for row in large.rows} == {20000}
        (longest,) = (await connection.ask("SELECT REPEAT('y', 16777215)")).rows  # beyond one packet
        assert len(longest[0]) == 16777215
        assert (await connection.ask("SELECT 1")).rows == ((1,),)


async def test_an_error_is_the_drivers_and_the_connection_goes_on(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.acquire() as connection:
        await execute(connection, "INSERT INTO numbers VALUES (1)")
        with pytest.raises(pymysql.err.IntegrityError) as duplicate:
            await execute(connection, "INSERT INTO numbers VALUES (1)")
        assert duplicate.value.args[0] == 1062
        with pytest.raises(pymysql.err.ProgrammingError):
            await query(connection, "SELECT nothing FROM nowhere")
        assert await query(connection, "SELECT COUNT(*) AS n FROM numbers") == [{"n": 1}]


async def test_a_warning_is_told(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.acquire() as connection:
        with pytest.warns(Warning, match="Unknown table"):
            await execute(connection, "DROP TEMPORARY TABLE IF EXISTS never_made")
        assert await query(connection, "SELECT 1 AS n") == [{"n": 1}]


async def test_a_question_that_is_given_up_takes_its_connection_along(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool(size_max=1)
    with pytest.raises(Unavailable):
        async with pool.acquire(timeout_s=0.2) as connection:
            await query(connection, mariadb.sleep(3))
    async with pool.acquire() as connection:
        assert await query(connection, "SELECT 2 AS n") == [{"n": 2}]


async def test_a_server_that_goes_away_in_the_middle_is_told_as_lost(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    with pytest.raises(Unavailable):
        async with pool.acquire() as connection:
            asked = asyncio.ensure_future(query(connection, mariadb.sleep(3)))
            session = connection.thread_id()
            await mariadb.kill_session(session)
            await asked
