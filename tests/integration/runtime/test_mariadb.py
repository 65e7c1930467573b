"""What only MariaDB has: its session's settings, bytes, and a table of error numbers."""

import asyncio

import pymysql
import pytest

from tests.integration.runtime.kits import MariaDBKit
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from ticketflow.runtime import mariadb_faults as faults
from ticketflow.runtime.errors import Retryable, Unavailable
from ticketflow.runtime.mariadb import execute, query


async def test_a_session_is_strict_and_has_every_time_out(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.acquire() as connection:
        (row,) = await query(
            connection,
            "SELECT @@tx_isolation isolation, @@time_zone zone, @@character_set_client charset, @@sql_mode mode, "
            "@@max_statement_time statement, @@innodb_lock_wait_timeout lock_wait, @@idle_transaction_timeout idle",
        )
    assert "STRICT_TRANS_TABLES" in row.pop("mode")
    assert row == {
        "isolation": "READ-COMMITTED",
        "zone": "+00:00",
        "charset": "utf8mb4",
        "statement": 5.0,
        "lock_wait": 4,
        "idle": 2,
    }


async def test_bytes_text_and_numbers_come_back_as_they_went(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.transaction() as connection:
        await execute(connection, "CREATE TABLE t (id INT, b VARBINARY(300), s VARCHAR(50) CHARACTER SET utf8mb4)")
        everything = bytes(range(256))
        assert await execute(connection, "INSERT INTO t VALUES (%s, %s, %s)", (1, everything, "née 🎟 %s")) == 1
        assert await query(connection, "SELECT * FROM t WHERE id = %(id)s", {"id": 1}) == [
            {"id": 1, "b": everything, "s": "née 🎟 %s"}
        ]


async def test_affected_rows_are_those_that_changed(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool()
    async with pool.transaction() as connection:
        await mariadb.insert(connection, 1)
        assert await execute(connection, "UPDATE numbers SET n = 1 WHERE n = 1") == 0
        assert await execute(connection, "UPDATE numbers SET n = 2 WHERE n = 1") == 1


async def test_waiting_for_a_lock_ends_and_is_retryable(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool(statement_timeout_s=5)
    async with pool.transaction() as holder:
        await mariadb.insert(holder, 1)
        with pytest.raises(Retryable, match="1205"):
            async with pool.transaction() as waiter:
                await execute(waiter, "SET innodb_lock_wait_timeout = 1")
                await mariadb.insert(waiter, 1)


async def test_a_dead_address_of_several_is_passed_over(mariadb: MariaDBKit) -> None:
    pool = await mariadb.pool(addresses=f"127.0.0.1:{free_port()},{mariadb.database.address}")
    await pool.ping()
    await asyncio.gather(*(pool.ping() for _ in range(8)))


async def test_a_wrong_password_is_unavailable_and_says_so(mariadb: MariaDBKit) -> None:
    mariadb.database = type(mariadb.database)(**{**vars(mariadb.database), "password": "wrong"})
    pool = await mariadb.pool(acquire_timeout_s=0.3)

    async def told() -> bool:
        with pytest.raises(Unavailable) as refused:
            await pool.ping()
        return "Access denied" in str(refused.value)

    await wait_until(told)


@pytest.mark.parametrize(
    ("error", "closed", "meaning"),
    [
        (pymysql.OperationalError(1213, "deadlock"), False, Retryable),
        (pymysql.OperationalError(1047, "WSREP has not yet prepared node"), False, Unavailable),
        (pymysql.OperationalError(1290, "read-only"), False, Unavailable),
        (pymysql.OperationalError(2013, "lost"), True, Unavailable),
        (pymysql.InterfaceError(0, "Not connected"), True, Unavailable),
        (RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed"), True, Unavailable),
        (RuntimeError("a bug"), True, None),
        (AttributeError("'NoneType' object has no attribute 'readexactly'"), True, Unavailable),
        (AttributeError("a bug"), False, None),
        (ConnectionResetError(), True, Unavailable),
        (TimeoutError(), False, Unavailable),
        (pymysql.IntegrityError(1062, "duplicate"), False, None),
        (pymysql.ProgrammingError(1064, "syntax"), False, None),
        (ValueError("closed"), True, None),
    ],
)
def test_each_error_has_its_meaning(error: Exception, closed: bool, meaning: type[Exception] | None) -> None:
    fault = faults.fault_of(error, closed)
    assert type(fault) is (meaning or type(None))
