"""One migrated database for all tests here, each with events of its own; two replicas over it in this process."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from reservation import service
from reservation.settings import DatabaseSettings
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Shop
from tests.support.databases import create_postgres, drop_postgres
from tests.support.running import RunningServer
from ticketflow.runtime.settings import Secret


@pytest.fixture(scope="package")
def dsn(postgres_server: RunningServer[PostgresServer]) -> Iterator[str]:
    database = create_postgres(postgres_server.server)
    assert service.migrate(DatabaseSettings(database_dsn=Secret(database.dsn))) > 0
    yield database.dsn
    postgres_server.start()
    drop_postgres(postgres_server.server, database)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
async def replicas(dsn: str, http: aiohttp.ClientSession) -> AsyncIterator[list[Replica]]:
    """Two, each with a pool and an HTTP server of its own. No workers run: a test calls them when it wants them."""
    running = [await Replica.start(dsn, http) for _ in range(2)]
    yield running
    for replica in running:
        await replica.stop()


@pytest.fixture
def replica(replicas: list[Replica]) -> Replica:
    return replicas[0]


@pytest.fixture
def shop(replica: Replica) -> Shop:
    return replica.shop


@pytest.fixture
async def truth(dsn: str) -> AsyncIterator[Truth]:
    """What the database says, past the service."""
    truth = await Truth.connect(dsn)
    yield truth
    await truth.close()
