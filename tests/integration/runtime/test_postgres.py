"""What only Postgres has: NOTIFY, replicas, synchronous commit, session state."""

import asyncio
from typing import Any

import pytest

from tests.integration.runtime.kits import PostgresKit
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Indefinite, NotCommitted, Unavailable
from ticketflow.runtime.postgres import PostgresPool
from ticketflow.runtime.postgres_driver import hosts_of


async def test_a_swallowed_error_does_not_pass_for_a_commit(postgres: PostgresKit) -> None:
    pool = await postgres.pool()
    with pytest.raises(NotCommitted):
        async with pool.transaction() as connection:
            await postgres.insert(connection, 1)
            with pytest.raises(Exception, match="nonsense"):
                await connection.execute("SELECT nonsense")
    assert postgres.stored() == set()


async def test_a_commit_that_no_replica_has_confirmed_is_indefinite(postgres: PostgresKit) -> None:
    """A session whose wait for the replica is cancelled answers COMMIT with a WARNING and an ordinary success."""
    pool = await postgres.pool(size_max=1)
    await pool.ping()
    _set(postgres, "synchronous_standby_names", "'nobody'")
    try:
        committing = asyncio.create_task(_insert(postgres, pool, 1))
        waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        await wait_until(lambda: postgres.as_admin(waiting))
        with pytest.raises(Indefinite, match="synchronous replication"):
            await committing
    finally:
        _set(postgres, "synchronous_standby_names", "''")
    await _insert(postgres, pool, 2)
    assert postgres.stored() == {1, 2}


async def test_while_no_replica_confirms_writes_wait_and_nothing_piles_up(postgres: PostgresKit) -> None:
    """Both standbys are lost: COMMITs go unanswered, for minutes if need be. Each that is given up stays at the server,
    and must not be joined by ever more; what is known can be read; and no COMMIT is cancelled, for then it would count
    although it is on no other node."""
    pool = await postgres.pool(size_max=6, commit_timeout_s=0.3, acquire_timeout_s=0.3)
    await _insert(postgres, pool, 0)
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test'"
    waiting = f"{ours} AND wait_event = 'SyncRep'"
    _set(postgres, "synchronous_standby_names", "'nobody'")
    try:
        for first in range(10, 80, 10):
            done = await asyncio.gather(*(_insert(postgres, pool, first + n) for n in range(8)), return_exceptions=True)
            assert {type(fault) for fault in done} <= {Indefinite, Unavailable}
            # The pool's, the two that were one too many, a newcomer of its watch, and one that the fixture has open.
            assert postgres.as_admin(ours)[0][0] <= 6 + 2 + 1 + 1
        [(given_up,)] = postgres.as_admin(waiting)
        assert given_up >= 4
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM numbers") == 1, "none is seen before it is safe"
        with pytest.raises(Unavailable, match="COMMITs to answer first"):
            await _insert(postgres, pool, 99)
    finally:
        _set(postgres, "synchronous_standby_names", "''")
    await wait_until(lambda: postgres.as_admin(waiting)[0][0] == 0)
    await wait_until(lambda: _inserted(postgres, pool, 100))
    assert len(postgres.stored()) == given_up + 2, "the first, all that waited, and the last"


async def _inserted(postgres: PostgresKit, pool: Any, number: int) -> bool:
    await _insert(postgres, pool, number)
    return True


@pytest.mark.parametrize("how", ["terminated", "restarted"])
async def test_a_server_that_throws_everybody_out_is_left_at_once(postgres: PostgresKit, how: str) -> None:
    """57P01 to 57P03: a demotion, a switchover, a restart. The next one is asked on a new connection, and succeeds."""
    pool = await postgres.pool(size_min=4, size_max=4)
    await wait_until(lambda: pool.connections.idle == 4)
    with pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await postgres.insert(connection, 1)
            if how == "terminated":
                everybody = (
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_name(postgres)}'"
                )
                postgres.as_admin(everybody)
            else:
                await postgres.stop()
                await postgres.start()
            await postgres.insert(connection, 2)
    for number in range(3, 7):
        await _insert(postgres, pool, number)
    assert postgres.stored() == {3, 4, 5, 6}


def _name(postgres: PostgresKit) -> str:
    return postgres.database.name


async def _insert(postgres: PostgresKit, pool: Any, number: int) -> None:
    async with pool.transaction() as connection:
        await postgres.insert(connection, number)


async def test_a_server_that_has_become_a_replica_is_left(postgres: PostgresKit) -> None:
    pool = await postgres.pool(acquire_timeout_s=0.5)
    await pool.ping()
    postgres.as_admin(f"ALTER ROLE {postgres.database.user} SET default_transaction_read_only = on")
    with pytest.raises(Unavailable, match="25006"):
        async with pool.transaction() as connection:
            await connection.execute("SET TRANSACTION READ ONLY")
            await postgres.insert(connection, 1)
    with pytest.raises(Unavailable):
        await pool.ping()
    postgres.as_admin(f"ALTER ROLE {postgres.database.user} RESET default_transaction_read_only")
    await wait_until(lambda: _answers(pool), timeout_s=3)


async def test_a_dead_host_of_several_is_passed_over(postgres: PostgresKit) -> None:
    dsn = postgres.database.dsn.replace("@127.0.0.1:", f"@127.0.0.1:{free_port()},127.0.0.1:")
    pool = await postgres.pool(dsn=dsn)
    await pool.ping()


async def test_what_a_session_was_told_does_not_reach_its_next_user(postgres: PostgresKit) -> None:
    pool = await postgres.pool(size_max=1)
    async with pool.acquire() as connection:
        await connection.execute("SET statement_timeout = '1min'; SET timezone = 'Asia/Tokyo'")
        await connection.fetchval("SELECT pg_advisory_lock(7)")
        first = await postgres.session(connection)
    async with pool.transaction() as connection:
        assert await postgres.session(connection) == first
        assert await connection.fetchval("SHOW statement_timeout") == "5s"
        assert await connection.fetchval("SHOW timezone") == "UTC"
    assert postgres.as_admin("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


async def test_a_session_has_every_time_out_and_its_name(postgres: PostgresKit) -> None:
    pool = await postgres.pool()
    async with pool.acquire() as connection:
        for setting, value in {
            "statement_timeout": "5s",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "2s",
            "client_connection_check_interval": "1s",
            "application_name": "test",
            "default_transaction_isolation": "read committed",
            "synchronous_commit": "on",
        }.items():
            assert await connection.fetchval(f"SHOW {setting}") == value


async def test_an_idle_transaction_is_ended_by_the_server(postgres: PostgresKit) -> None:
    pool = await postgres.pool()
    with pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
            await postgres.insert(connection, 1)
            await wait_until(connection.is_closed)
            await postgres.insert(connection, 2)
    await pool.ping()


async def test_listening_hears_and_goes_on_after_an_outage(postgres: PostgresKit) -> None:
    pool = await postgres.pool()
    assert isinstance(pool, PostgresPool)
    heard: list[str] = []
    listener = asyncio.create_task(pool.listen("news", heard.append))
    await wait_until(lambda: heard == [""])
    await _notify(pool, "first")
    await wait_until(lambda: heard == ["", "first"])
    await postgres.kill()
    await postgres.start()
    await wait_until(lambda: heard == ["", "first", ""], timeout_s=5)
    await _notify(pool, "second")
    await wait_until(lambda: heard[-1] == "second")
    listener.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener


def test_hosts_are_read_from_the_dsn() -> None:
    assert hosts_of("postgresql://u:p@a:1,b:2/db?x=1") == (("a", 1), ("b", 2))
    assert hosts_of("postgresql://u:p%40@[::1]:1,b/db") == (("::1", 1), ("b", 5432))
    for wrong in ("mysql://a/db", "postgresql://u:p@:1/db", "postgresql://u@a:x/db"):
        with pytest.raises(ValueError, match="DSN"):
            hosts_of(wrong)


async def _answers(pool: object) -> bool:
    assert isinstance(pool, PostgresPool)
    await pool.ping()
    return True


async def _notify(pool: PostgresPool, payload: str) -> None:
    async with pool.transaction() as connection:
        await connection.execute("SELECT pg_notify('news', $1)", payload)


def _set(postgres: PostgresKit, setting: str, value: str) -> None:
    postgres.as_admin(f"ALTER SYSTEM SET {setting} = {value}")
    postgres.as_admin("SELECT pg_reload_conf()")
