"""Statements that share a packet, and those that are written out ahead: what each says, where an error ends them."""

import pymysql.err
import pytest

from tests.integration.runtime.kits import MariaDBKit
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import Ahead, Result, Together, execute, query

ADD = "INSERT INTO numbers VALUES (%s)"


def one_row(result: Result) -> None:
    if result.affected != 1:
        raise Retryable("the row is not as it was")


async def test_all_are_carried_out_in_their_order_and_each_answer_is_checked(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    answers: list[Result] = []
    async with pool.transaction() as connection:
        together = Together(connection)
        await together.ask(ADD, (1,), one_row)
        await together.ask("SELECT n FROM numbers", None, answers.append)
        await together.ask("UPDATE numbers SET n = n + 1", None, answers.append)
        assert answers == []
        await together.send()
        await together.send()  # there is nothing left
    assert (answers[0].rows, answers[1].affected) == (((1,),), 1)
    assert mariadb.stored() == {2}


async def test_a_check_that_fails_undoes_them_all(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    with pytest.raises(Retryable):
        async with pool.transaction() as connection:
            together = Together(connection)
            await together.ask(ADD, (1,), one_row)
            await together.ask("UPDATE numbers SET n = 3 WHERE n = 2", None, one_row)
            await together.ask(ADD, (4,), one_row)
            await together.send()
    assert mariadb.stored() == set()


async def test_behind_one_that_fails_none_is_carried_out(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.transaction() as connection:
        together = Together(connection)
        for number in (1, 1, 2):
            await together.ask(ADD, (number,))
        with pytest.raises(pymysql.err.IntegrityError):
            await together.send()
        assert await query(connection, "SELECT n FROM numbers") == [{"n": 1}]  # and the connection is in step
    assert mariadb.stored() == {1}


async def test_what_is_too_much_for_one_packet_goes_in_several(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    lengths: list[int] = []
    async with pool.acquire() as connection:
        together = Together(connection)
        for _ in range(5):
            text = "x" * 400_000
            await together.ask("SELECT LENGTH(%s)", (text,), lambda result: lengths.append(result.rows[0][0]))
        assert len(lengths) > 0
        await together.send()
    assert lengths == [400_000] * 5


async def test_of_what_is_written_out_ahead_an_error_comes_with_the_next_statement_or_the_end(
    mariadb: MariaDBKit,
) -> None:
    pool = await mariadb.pool()
    async with pool.transaction() as connection:
        async with Ahead(connection) as ahead:
            await ahead.ask(ADD, (1,), one_row)
            await ahead.ask(ADD, (2,), one_row)
        with pytest.raises(pymysql.err.IntegrityError):
            async with Ahead(connection) as ahead:
                await ahead.ask(ADD, (2,))
        with pytest.raises(pymysql.err.IntegrityError):
            async with Ahead(connection) as ahead:
                await ahead.ask(ADD, (2,))
                await ahead.ask(ADD, (3,))
        with pytest.raises(ZeroDivisionError):
            async with Ahead(connection) as ahead:
                await ahead.ask(ADD, (2,))
                raise ZeroDivisionError
        assert await query(connection, "SELECT COUNT(*) AS n FROM numbers") == [{"n": 2}]
    assert mariadb.stored() == {1, 2}


async def test_a_transaction_on_a_connection_that_was_just_used_is_one_all_the_same(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool(size_max=1)
    for number in range(1, 4):
        async with pool.transaction() as connection:
            await execute(connection, ADD, (number,))
        with pytest.raises(ZeroDivisionError):
            async with pool.transaction() as connection:
                await execute(connection, ADD, (10 * number,))
                assert 10 * number not in mariadb.stored()
                raise ZeroDivisionError
        async with pool.transaction():
            pass  # one that asks nothing
        async with pool.transaction() as connection, connection.cursor() as cursor:
            await cursor.execute(ADD, (100 * number,))  # by the driver's own way
            assert 100 * number not in mariadb.stored()
        async with pool.acquire() as connection:  # in autocommit, after all of that
            await execute(connection, ADD, (1000 * number,))
            assert 1000 * number in mariadb.stored()
    assert mariadb.stored() == {n * times for n in (1, 2, 3) for times in (1, 100, 1000)}
