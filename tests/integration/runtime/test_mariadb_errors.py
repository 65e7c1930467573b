"""The table of reliability's errors on the real driver: what each means in a statement, and in answer to COMMIT."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.runtime.kits import MariaDBKit
from tests.support.mariadb_faults import LOST, Fault, FaultyMariaDB, faulty_mariadb
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.retry import retrying


@pytest.fixture
async def faulty(mariadb: MariaDBKit) -> AsyncIterator[FaultyMariaDB]:
    async with faulty_mariadb(mariadb.database.port) as between:
        yield between


@pytest.fixture
async def pool(mariadb: MariaDBKit, faulty: FaultyMariaDB) -> MariaDBPool:
    pool = await mariadb.pool(addresses=f"127.0.0.1:{faulty.port}", size_min=3)
    await wait_until(lambda: pool.connections.idle == 3)
    assert isinstance(pool, MariaDBPool)
    return pool


async def insert(mariadb: MariaDBKit, pool: MariaDBPool, number: int) -> None:
    async with pool.transaction() as connection:
        await mariadb.insert(connection, number)


IN_A_STATEMENT = [
    (1047, Unavailable),  # the node has left the cluster: not executed
    (1205, Retryable),  # waited too long for a lock
    (1213, Retryable),  # deadlock, or chosen as a victim by another node's transaction
    (1290, Unavailable),  # read-only: the writer has moved
    (1969, Unavailable),  # max_statement_time
    (9001, Unavailable),  # ProxySQL found no server in time
    (LOST, Unavailable),
]
LEAVES_ALL = {1047, 1290, LOST}  # says that the other connections lead nowhere either


@pytest.mark.parametrize(("code", "meaning"), IN_A_STATEMENT)
async def test_in_a_statement_nothing_has_happened(
    mariadb: MariaDBKit, faulty: FaultyMariaDB, pool: MariaDBPool, code: int, meaning: type[Exception]
) -> None:
    before = {id(slot.connection) for slot in pool.connections._idle}
    faulty.fault = Fault("INSERT", code, done=False)
    with pytest.raises(meaning) as caught:
        await insert(mariadb, pool, 1)
    assert type(caught.value) is meaning
    kept = before & {id(slot.connection) for slot in pool.connections._idle}
    assert len(kept) == (0 if code in LEAVES_ALL else 3)
    await insert(mariadb, pool, 2)
    assert mariadb.stored() == {2}


AT_COMMIT = [
    (1047, Unavailable),
    (1205, Retryable),
    (1213, Retryable),  # Galera: certification failed
    (9001, Unavailable),
    (1180, Indefinite),
    (1105, Indefinite),  # a number that the table does not know
    (LOST, Indefinite),
]


@pytest.mark.parametrize(("code", "meaning"), AT_COMMIT)
async def test_in_answer_to_commit(
    mariadb: MariaDBKit, faulty: FaultyMariaDB, pool: MariaDBPool, code: int, meaning: type[Exception]
) -> None:
    faulty.fault = Fault("COMMIT", code, done=False)
    with pytest.raises(meaning) as caught:
        await insert(mariadb, pool, 1)
    assert type(caught.value) is meaning
    assert mariadb.stored() == set()
    await insert(mariadb, pool, 2)
    assert mariadb.stored() == {2}


@pytest.mark.parametrize("code", [1180, LOST])
async def test_an_unknown_commit_may_have_happened(
    mariadb: MariaDBKit, faulty: FaultyMariaDB, pool: MariaDBPool, code: int
) -> None:
    faulty.fault = Fault("COMMIT", code, done=True)
    with pytest.raises(Indefinite):
        await insert(mariadb, pool, 1)
    assert mariadb.stored() == {1}
    await insert(mariadb, pool, 2)


async def test_a_victim_of_certification_runs_again_as_a_whole(
    mariadb: MariaDBKit, faulty: FaultyMariaDB, pool: MariaDBPool
) -> None:
    faulty.fault = Fault("COMMIT", 1213, done=False, count=3)
    attempts = 0

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        await insert(mariadb, pool, 1)

    await retrying(attempt)
    assert attempts == 4
    assert mariadb.stored() == {1}


async def test_a_node_that_is_not_ready_is_passed_over_when_connecting(
    mariadb: MariaDBKit, faulty: FaultyMariaDB
) -> None:
    """It lets anybody in, and executes nothing but SET."""
    faulty.fault = Fault("SELECT CONCAT(@@hostname", 1047, done=False, count=1000)
    both = f"127.0.0.1:{faulty.port},{mariadb.database.address}"
    pool = await mariadb.pool(addresses=both, size_min=0)
    async with pool.transaction() as connection:
        await mariadb.insert(connection, 1)
    assert mariadb.stored() == {1}
