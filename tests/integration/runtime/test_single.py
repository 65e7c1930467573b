"""A statement that is a transaction by itself: whether it happened is said as exactly as of a COMMIT."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.integration.runtime.kits import PostgresKit, takes
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Blocked, Indefinite, Unavailable
from ticketflow.runtime.postgres import PostgresPool

INSERT = "INSERT INTO numbers VALUES ($1) RETURNING n"
SLOWLY = "INSERT INTO numbers SELECT $1 FROM pg_sleep(30)"
IN_COMMIT = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'test' AND wait_event = 'advisory'"


async def opened(postgres: PostgresKit, **options: Any) -> PostgresPool:
    pool = await postgres.pool(**options)
    assert isinstance(pool, PostgresPool)
    return pool


@pytest.fixture
async def pool(postgres: PostgresKit) -> PostgresPool:
    return await opened(postgres)


async def test_with_its_answer_it_is_committed(postgres: PostgresKit, pool: PostgresPool) -> None:
    assert [row["n"] for row in await pool.single(INSERT, 1)] == [1]
    assert postgres.stored() == {1}
    assert pool.connections.idle == 1


async def test_what_the_server_refuses_has_not_happened_and_costs_no_connection(
    postgres: PostgresKit, pool: PostgresPool
) -> None:
    await pool.single(INSERT, 1)
    before = await pool.single("SELECT pg_backend_pid()")
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.single(INSERT, 1)
    with pytest.raises(asyncpg.DataError):
        await pool.single(INSERT, "one")  # not even sent
    assert await pool.single("SELECT pg_backend_pid()") == before
    assert postgres.stored() == {1}


async def test_one_that_takes_too_long_has_not_happened(postgres: PostgresKit) -> None:
    pool = await opened(postgres, statement_timeout_s=0.3)
    with takes(0.3), pytest.raises(Blocked):
        await pool.single(SLOWLY, 1)
    assert postgres.stored() == set()


async def test_without_an_answer_it_is_indefinite(postgres: PostgresKit) -> None:
    pool = await opened(postgres, commit_timeout_s=0.5)
    async with postgres.commits_hang():
        with takes(0.5), pytest.raises(Indefinite, match="not answered in time"):
            await pool.single(INSERT, 1)
    await wait_until(lambda: postgres.stored() == {1})


async def test_a_server_killed_meanwhile_leaves_an_indefinite_outcome(
    postgres: PostgresKit, pool: PostgresPool
) -> None:
    async with postgres.commits_hang():
        inserting = asyncio.create_task(pool.single(INSERT, 1))
        await wait_until(lambda: postgres.as_admin(IN_COMMIT))
        await postgres.kill()
        with takes(1), pytest.raises(Indefinite):
            await inserting
    await postgres.start()
    assert postgres.stored() in (set(), {1})


async def test_a_session_that_is_ended_meanwhile_leaves_an_indefinite_outcome(
    postgres: PostgresKit, pool: PostgresPool
) -> None:
    """57P01 is what a COMMIT is answered with, too, when a server stops while it waits for its replica."""
    inserting = asyncio.create_task(pool.single(SLOWLY, 1))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    await wait_until(lambda: postgres.as_admin(ended))
    with pytest.raises(Indefinite):
        await inserting
    await pool.single(INSERT, 2)
    assert postgres.stored() == {2}


async def test_what_no_replica_has_confirmed_is_indefinite(postgres: PostgresKit, pool: PostgresPool) -> None:
    await pool.single(INSERT, 1)
    postgres.as_admin("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    postgres.as_admin("SELECT pg_reload_conf()")
    try:
        inserting = asyncio.create_task(pool.single(INSERT, 2))
        cancelled = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        await wait_until(lambda: postgres.as_admin(cancelled))
        with pytest.raises(Indefinite, match="synchronous replication"):
            await inserting
    finally:
        postgres.as_admin("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.as_admin("SELECT pg_reload_conf()")


async def test_a_server_that_takes_no_writes_says_so_before_anything_happens(
    postgres: PostgresKit, pool: PostgresPool
) -> None:
    await pool.single(INSERT, 1)
    postgres.as_admin("ALTER SYSTEM SET default_transaction_read_only = on")
    postgres.as_admin("SELECT pg_reload_conf()")
    try:

        async def refused() -> bool:
            try:
                await pool.single("INSERT INTO numbers VALUES (2) ON CONFLICT DO NOTHING")
            except Unavailable as fault:
                return "25006" in str(fault)
            return False

        await wait_until(refused)
    finally:
        postgres.as_admin("ALTER SYSTEM RESET default_transaction_read_only")
        postgres.as_admin("SELECT pg_reload_conf()")


async def test_who_is_cancelled_waits_for_the_end(postgres: PostgresKit, pool: PostgresPool) -> None:
    async with postgres.commits_hang():
        inserting = asyncio.create_task(pool.single(INSERT, 1))
        await wait_until(lambda: postgres.as_admin(IN_COMMIT))
        inserting.cancel()
        await asyncio.sleep(0.05)
        assert not inserting.done()
    with pytest.raises(asyncio.CancelledError):
        await inserting
    assert postgres.stored() == {1}


async def test_none_is_begun_while_too_many_go_unanswered(postgres: PostgresKit) -> None:
    pool = await opened(postgres, size_max=3, commit_timeout_s=0.3)
    async with postgres.commits_hang():
        with pytest.raises(Indefinite):
            await pool.single(INSERT, 1)
        with pytest.raises(Unavailable, match="COMMITs to answer first"):
            await pool.single(INSERT, 2)
