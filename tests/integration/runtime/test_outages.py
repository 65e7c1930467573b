"""A server that is stopped, killed, frozen or full: callers hear of it in time, and the pool comes back by itself."""

import asyncio
from typing import Any

import pytest

from tests.integration.runtime.kits import Kit, takes
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Unavailable

AnyKit = Kit[Any]


async def test_opening_does_not_fail_when_the_server_is_down(kit: AnyKit) -> None:
    await kit.stop()
    with takes(0):
        pool = await kit.pool()
    with takes(2), pytest.raises(Unavailable):
        await pool.ping()
    await kit.start()
    with takes(2):
        await wait_until(lambda: _answers(pool), timeout_s=5)


async def test_while_the_server_is_stopped_callers_are_refused_and_soon_at_once(kit: AnyKit) -> None:
    pool = await kit.pool(acquire_timeout_s=1)
    await pool.ping()
    await kit.stop()
    with takes(1), pytest.raises(Unavailable):
        await pool.ping()
    await wait_until(lambda: _refuses_at_once(pool), timeout_s=5)
    await kit.start()
    with takes(2):
        await wait_until(lambda: _answers(pool), timeout_s=5)


async def test_a_server_killed_in_mid_transaction_has_done_nothing(kit: AnyKit) -> None:
    pool = await kit.pool()
    with pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
            await kit.kill()
            await kit.insert(connection, 2)
    await kit.start()
    await wait_until(lambda: _answers(pool), timeout_s=5)
    assert kit.stored() == set()


async def test_a_server_killed_before_commit_has_done_nothing(kit: AnyKit) -> None:
    pool = await kit.pool()
    with pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
            await kit.kill()
            await asyncio.sleep(0.1)  # the end of the connection is seen by the loop, not by a statement
    await kit.start()
    assert kit.stored() == set()


async def test_connections_that_died_while_idle_are_never_noticed(kit: AnyKit) -> None:
    pool = await kit.pool(size_min=4)
    await wait_until(lambda: pool.connections.idle == 4)
    await kit.stop()
    await kit.start()
    for number in range(4):
        async with pool.transaction() as connection:
            await kit.insert(connection, number)
    assert kit.stored() == {0, 1, 2, 3}


async def test_a_frozen_server_holds_nobody_beyond_the_deadline(kit: AnyKit) -> None:
    pool = await kit.pool(statement_timeout_s=1, acquire_timeout_s=1, connect_timeout_s=1)
    await pool.ping()
    with kit.frozen():
        with takes(2), pytest.raises(Unavailable):
            async with pool.transaction() as connection:
                await kit.insert(connection, 1)
        with takes(2), pytest.raises(Unavailable):
            await pool.ping()
    await wait_until(lambda: _answers(pool), timeout_s=5)


async def test_a_server_that_freezes_in_mid_transaction_holds_nobody_beyond_the_deadline(kit: AnyKit) -> None:
    pool = await kit.pool(statement_timeout_s=1)
    with takes(2), pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
            with kit.frozen():
                await kit.insert(connection, 2)
    await wait_until(lambda: _answers(pool), timeout_s=5)


async def test_closing_does_not_wait_for_a_frozen_server(kit: AnyKit) -> None:
    pool = await kit.pool(size_min=2)
    await wait_until(lambda: pool.connections.idle == 2)
    async with pool.acquire():
        with kit.frozen(), takes(0.2):
            await pool.close(deadline_s=0.2)


async def test_an_exhausted_pool_refuses_in_time_and_never_grows(kit: AnyKit) -> None:
    pool = await kit.pool(size_max=2, acquire_timeout_s=0.3)
    enough = asyncio.Event()

    async def hold() -> None:
        async with pool.acquire():
            await enough.wait()

    holders = [asyncio.create_task(hold()) for _ in range(2)]
    await wait_until(lambda: pool.connections.in_use == 2)
    with takes(0.3), pytest.raises(Unavailable, match="all 2 connections are in use"):
        await pool.ping()
    refused = await asyncio.gather(*(pool.ping() for _ in range(50)), return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in refused)
    assert pool.connections.size == 2
    enough.set()
    await asyncio.gather(*holders)
    await pool.ping()


async def test_a_client_that_freezes_in_mid_transaction_keeps_its_locks_for_2_s(kit: AnyKit) -> None:
    """Its connection stands, as its kernel answers for it: only the server can tell that nothing comes any more."""
    frozen, others = await kit.pool(), await kit.pool()
    with pytest.raises(Unavailable):
        async with frozen.transaction() as connection:
            await kit.insert(connection, 1)
            with takes(2):
                async with others.transaction() as other:
                    await kit.insert(other, 1)
            await kit.insert(connection, 2)
    assert kit.stored() == {1}


async def test_a_session_that_is_killed_takes_nothing_with_it(kit: AnyKit) -> None:
    pool = await kit.pool()
    with pytest.raises(Unavailable):
        async with pool.transaction() as connection:
            await kit.insert(connection, 1)
            await kit.kill_session(await kit.session(connection))
            await kit.insert(connection, 2)
    await pool.ping()
    assert kit.stored() == set()


async def _answers(pool: Any) -> bool:
    await pool.ping()
    return True


async def _refuses_at_once(pool: Any) -> bool:
    with pytest.raises(Unavailable):
        async with asyncio.timeout(0.05):
            await pool.ping()
    return True
