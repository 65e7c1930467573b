"""Statements that share a packet, that are written out ahead, or deferred: what each says, where an error ends them."""

import asyncio
from contextlib import suppress

import pymysql.err
import pytest

from tests.integration.runtime.kits import MariaDBKit
from tests.support.packets import packets
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import Ahead, Check, Connection, Result, Together, execute, query
from ticketflow.runtime.mariadb_ahead import PACKET_CHARS
from ticketflow.runtime.mariadb_rows import STATEMENT_BYTES_MAX

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


async def test_of_what_is_written_out_ahead_an_error_comes_with_a_later_packet_or_the_end(
    mariadb: MariaDBKit,
) -> None:
    pool = await mariadb.pool()
    async with pool.transaction() as connection:
        async with Ahead(connection) as ahead:
            await ahead.ask(ADD, (1,), one_row)
            await ahead.ask(ADD, (2,), one_row)
            await ahead.send()
        with pytest.raises(pymysql.err.IntegrityError):
            async with Ahead(connection) as ahead:
                await ahead.ask(ADD, (2,))
                await ahead.send()
        with pytest.raises(pymysql.err.IntegrityError):
            async with Ahead(connection) as ahead:
                await ahead.ask(ADD, (2,))
                await ahead.send()
                await ahead.ask(ADD, (3,))
                await ahead.send()
        with pytest.raises(pymysql.err.IntegrityError):
            async with Ahead(connection) as ahead:
                await ahead.ask(ADD, (2,))
                await ahead.answered()
        with pytest.raises(ZeroDivisionError):
            async with Ahead(connection) as ahead:
                await ahead.ask(ADD, (2,))
                await ahead.send()
                await ahead.ask(ADD, (3,))
                raise ZeroDivisionError
        assert await query(connection, "SELECT COUNT(*) AS n FROM numbers") == [{"n": 2}]
    assert mariadb.stored() == {1, 2}


async def test_large_statements_go_ahead_and_small_ones_with_whatever_is_asked_next(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    lengths: list[int] = []

    def told(result: Result) -> None:
        lengths.append(result.rows[0][0])

    async with pool.transaction() as connection:
        with packets() as sent:
            async with Ahead(connection) as ahead:
                for length in (10, 20, PACKET_CHARS, 2 * PACKET_CHARS, 30):
                    await ahead.ask("SELECT LENGTH(%s)", ("x" * length,), told)
                await ahead.ask(ADD, (1,), one_row)
            assert len(sent) == 2
            assert await query(connection, "SELECT n FROM numbers") == [{"n": 1}]
            assert len(sent) == 3
    assert lengths == [10, 20, PACKET_CHARS, 2 * PACKET_CHARS, 30]


async def test_one_that_is_too_large_for_what_was_gathered_waits_for_the_packet_before_it(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    lengths: list[int] = []
    async with pool.transaction() as connection, Ahead(connection) as ahead:
        for length in (PACKET_CHARS, 10, STATEMENT_BYTES_MAX, 20):
            await ahead.ask("SELECT LENGTH(%s)", ("x" * length,), lambda result: lengths.append(result.rows[0][0]))
    assert lengths == [PACKET_CHARS, 10, STATEMENT_BYTES_MAX, 20]


def deferred(connection: Connection, *numbers: int, check: Check | None = one_row) -> None:
    connection.defer([(ADD % number, check) for number in numbers])


async def test_what_is_deferred_shares_a_packet_with_what_is_asked_next(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.transaction():
        pass
    with packets() as sent:
        async with pool.transaction() as connection:
            deferred(connection, 1, 2)
            assert await execute(connection, "UPDATE numbers SET n = n + 10") == 2
    assert sent == [
        "BEGIN;INSERT INTO numbers VALUES (1);INSERT INTO numbers VALUES (2);UPDATE numbers SET n = n + 10",
        "COMMIT",
    ]
    assert mariadb.stored() == {11, 12}


async def test_what_nobody_asks_after_is_carried_out_before_commit(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.transaction() as connection:
        deferred(connection, 1)
    async with pool.transaction() as connection:
        together = Together(connection)
        await together.ask(ADD, (2,), one_row)
        together.defer()
        await connection.settle()
        assert await execute(connection, ADD, (3,)) == 1
    async with pool.transaction() as connection:
        deferred(connection, 4)
        async with connection.cursor() as cursor:  # by the driver's own way
            await cursor.execute("SELECT n FROM numbers WHERE n = 4")
            assert await cursor.fetchall() == ((4,),)
    assert mariadb.stored() == {1, 2, 3, 4}


async def test_a_deferred_one_that_fails_is_told_to_all_who_ask_and_nothing_is_committed(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool(size_max=1)
    with pytest.raises(pymysql.err.IntegrityError):
        async with pool.transaction() as connection:
            deferred(connection, 1, 1, 2)
    with pytest.raises(Retryable):
        async with pool.transaction() as connection:
            connection.defer([("UPDATE numbers SET n = 3 WHERE n = 2", one_row)])
    with pytest.raises(pymysql.err.IntegrityError):
        async with pool.transaction() as connection:
            deferred(connection, 1, 1)
            for number in (1, 2):  # as whoever takes the duplicate for one of his own
                with suppress(pymysql.err.IntegrityError):
                    await execute(connection, ADD, (number,))
    with pytest.raises(Retryable):
        async with pool.transaction() as connection:
            connection.defer([(ADD % 1, None), ("UPDATE numbers SET n = 3 WHERE n = 2", one_row)])
            with suppress(pymysql.err.IntegrityError, Retryable):
                await execute(connection, ADD, (1,))  # fails as well, and the check comes first
    async with pool.transaction() as connection:
        assert await query(connection, "SELECT n FROM numbers") == []
        deferred(connection, 1)
        with pytest.raises(pymysql.err.IntegrityError):
            await execute(connection, ADD, (1,))  # its own fault, which it may pass over
        assert await execute(connection, ADD, (2,)) == 1
    assert mariadb.stored() == {1, 2}


async def test_a_rollback_forgets_what_is_deferred(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool(size_max=1)
    for asked_before in (False, True):
        with pytest.raises(ZeroDivisionError):
            async with pool.transaction() as connection:
                if asked_before:
                    await execute(connection, ADD, (1,))
                deferred(connection, 2)
                raise ZeroDivisionError
        async with pool.transaction() as connection:
            assert await query(connection, "SELECT n FROM numbers") == []
    async with pool.acquire() as connection:
        with pytest.raises(RuntimeError):
            deferred(connection, 3)
    assert mariadb.stored() == set()


async def test_one_who_is_cancelled_leaves_nothing_to_the_next_user(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool(size_max=1)
    waits = asyncio.Event()

    async def deferring() -> None:
        async with pool.transaction() as connection:
            deferred(connection, 1)
            waits.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(deferring())
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with pool.transaction() as connection:
        assert await query(connection, "SELECT n FROM numbers") == []
    assert mariadb.stored() == set()


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
