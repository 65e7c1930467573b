"""Both databases, each by its kit; under uvloop, as in production."""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from tests.integration.runtime.kits import Kit, MariaDBKit, PostgresKit
from tests.support.databases import Database
from tests.support.running import RunningServer


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def postgres(
    postgres_server: RunningServer[PostgresServer], postgres_database: Database
) -> AsyncIterator[PostgresKit]:
    kit = PostgresKit(postgres_server, postgres_database)
    await kit.prepare()
    yield kit
    await kit.finish()


@pytest.fixture
async def mariadb(
    mariadb_server: RunningServer[MariaDBServer], mariadb_database: Database
) -> AsyncIterator[MariaDBKit]:
    kit = MariaDBKit(mariadb_server, mariadb_database)
    await kit.prepare()
    yield kit
    await kit.finish()


@pytest.fixture(params=["postgres", "mariadb"])
def kit(request: pytest.FixtureRequest) -> Kit[Any]:
    """The one suite runs against each database."""
    found: Kit[Any] = request.getfixturevalue(request.param)
    return found
