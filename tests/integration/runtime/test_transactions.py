"""A transaction says whether it happened, on both databases."""

import asyncio
from typing import Any

import asyncpg
import pymysql
import pytest

from tests.integration.runtime.kits import Kit, takes
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.retry import retrying

AnyKit = Kit[Any]
DUPLICATE = (asyncpg.UniqueViolationError, pymysql.IntegrityError)


async def test_what_a_block_wrote_is_there_after_it(kit: AnyKit) -> None:
    pool = await kit.pool()
    async with pool.transaction() as connection:
        await kit.insert(connection, 1)
        assert kit.stored() == set()
    assert kit.stored() == {1}


async def test_a_block_that_raises_is_rolled_back_and_its_exception_passes(kit: AnyKit) -> None:
    pool = await kit.pool()
    with pytest.raises(ZeroDivisionError):
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
            raise ZeroDivisionError
    assert kit.stored() == set()


async def test_a_violated_constraint_is_the_callers_and_costs_no_connection(kit: AnyKit) -> None:
    pool = await kit.pool(size_max=1)
    async with pool.transaction() as connection:
        await kit.insert(connection, 1)
        first = await kit.session(connection)
    with pytest.raises(DUPLICATE):
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
    async with pool.transaction() as connection:
        assert await kit.session(connection) == first


async def test_each_statement_of_acquire_stands_alone(kit: AnyKit) -> None:
    pool = await kit.pool()
    with pytest.raises(ZeroDivisionError):
        async with pool.acquire() as connection:
            await kit.insert(connection, 1)
            raise ZeroDivisionError
    assert kit.stored() == {1}


async def test_isolation_is_read_committed_and_the_clock_utc(kit: AnyKit) -> None:
    pool = await kit.pool()
    async with pool.transaction() as reader:
        assert await kit.value(reader, "SELECT COUNT(*) FROM numbers") == 0
        async with pool.transaction() as writer:
            await kit.insert(writer, 1)
        assert await kit.value(reader, "SELECT COUNT(*) FROM numbers") == 1


async def test_a_statement_that_takes_too_long_is_unavailable_and_rolled_back(kit: AnyKit) -> None:
    pool = await kit.pool(statement_timeout_s=1)
    with takes(2.5), pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
            await kit.run(connection, f"UPDATE numbers SET n = n + 1 WHERE ({kit.sleep(10)}) IS NULL")
    assert kit.stored() == set()


async def test_a_block_that_takes_too_long_is_unavailable_and_rolled_back(kit: AnyKit) -> None:
    pool = await kit.pool()
    with takes(0.5), pytest.raises(Unavailable):
        async with pool.transaction(timeout_s=0.5) as connection:
            await kit.insert(connection, 1)
            await asyncio.Event().wait()
    assert kit.stored() == set()


async def test_a_deadlock_is_retryable_and_ends_well_when_retried(kit: AnyKit) -> None:
    pool = await kit.pool()
    async with pool.transaction() as connection:
        await kit.insert(connection, 1)
        await kit.insert(connection, 2)
    both_hold_one = asyncio.Barrier(2)
    victims = 0

    async def lock(first: int, second: int) -> None:
        nonlocal victims
        met = False

        async def attempt() -> None:
            nonlocal met, victims
            try:
                async with pool.transaction() as connection:
                    await kit.run(connection, f"UPDATE numbers SET n = n WHERE n = {first}")
                    await kit.run(connection, f"SELECT n FROM numbers WHERE n = {first} FOR UPDATE")
                    if not met:
                        met = True
                        await both_hold_one.wait()
                    await kit.run(connection, f"SELECT n FROM numbers WHERE n = {second} FOR UPDATE")
            except Retryable:
                victims += 1
                raise

        await retrying(attempt)

    await asyncio.gather(lock(1, 2), lock(2, 1))
    assert victims >= 1, "one at a time; a victim that is back too soon may meet the other once more"


async def test_a_commit_without_an_answer_is_indefinite(kit: AnyKit) -> None:
    pool = await kit.pool(commit_timeout_s=0.5)
    async with kit.commits_hang():
        with takes(0.5), pytest.raises(Indefinite):
            async with pool.transaction() as connection:
                await kit.insert(connection, 1)
    assert kit.stored() in (set(), {1})


async def test_a_server_killed_at_commit_leaves_an_indefinite_outcome(kit: AnyKit) -> None:
    pool = await kit.pool()
    async with kit.commits_hang():
        committing = asyncio.create_task(_insert(kit, pool, 1))
        await asyncio.sleep(0)
        await wait_until(lambda: pool.connections.in_use == 1)
        await _let_commit_begin(kit)
        await kit.kill()
        with takes(1), pytest.raises(Indefinite):
            await committing
    await kit.start()
    assert kit.stored() in (set(), {1})


async def test_a_cancelled_commit_is_waited_for(kit: AnyKit) -> None:
    pool = await kit.pool()
    async with kit.commits_hang():
        committing = asyncio.create_task(_insert(kit, pool, 1))
        await wait_until(lambda: pool.connections.in_use == 1)
        await _let_commit_begin(kit)
        committing.cancel()
        await asyncio.sleep(0.05)
        assert not committing.done()
    with pytest.raises(asyncio.CancelledError):
        await committing
    assert kit.stored() == {1}


async def test_the_time_of_a_block_does_not_count_its_commit(kit: AnyKit) -> None:
    pool = await kit.pool()

    async def write() -> None:
        async with pool.transaction(timeout_s=0.3) as connection:
            await kit.insert(connection, 1)

    async with kit.commits_hang():
        committing = asyncio.create_task(write())
        await wait_until(lambda: pool.connections.in_use == 1)
        await _let_commit_begin(kit)
        _done, waiting = await asyncio.wait({committing}, timeout=0.5)
        assert waiting
    await committing
    assert kit.stored() == {1}


async def test_a_cancelled_block_frees_its_locks_and_leaves_the_pool_sound(kit: AnyKit) -> None:
    pool = await kit.pool(size_max=2, statement_timeout_s=2)
    inserted = asyncio.Event()

    async def block() -> None:
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
            inserted.set()
            await kit.run(connection, kit.sleep(30))

    cancelled = asyncio.create_task(block())
    await inserted.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    with takes(3):
        await retrying(lambda: _insert(kit, pool, 1), on=(Unavailable,))
    assert kit.stored() == {1}
    await asyncio.gather(*(pool.ping() for _ in range(10)))
    assert pool.connections.size <= 2


async def _insert(kit: AnyKit, pool: Any, number: int) -> None:
    async with pool.transaction() as connection:
        await kit.insert(connection, number)


async def _let_commit_begin(kit: AnyKit) -> None:
    """Returns once the server shows a session that waits inside COMMIT."""
    await wait_until(lambda: kit.commit_waits(), interval_s=0.05)
