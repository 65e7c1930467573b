"""One suite for both stores: every test that takes ``store`` runs against Postgres and against MariaDB."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import structlog

from tests.contract.stores import Store, migrate_store, opened
from tests.support.servers import MigratedDatabase


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Failures are logged on purpose here, and a drawn traceback costs half a second."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])


@pytest.fixture(params=["postgres", "mariadb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A fresh database of one kind, migrated."""
    async with fresh(request, request.param) as store:
        yield store


@pytest.fixture(params=["postgres->mariadb", "mariadb->postgres"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, Store]]:
    """A sending store and a receiving store, each way round."""
    sender, receiver = request.param.split("->")
    async with fresh(request, sender) as sending, fresh(request, receiver) as receiving:
        yield sending, receiving


@asynccontextmanager
async def fresh(request: pytest.FixtureRequest, name: str) -> AsyncIterator[Store]:
    migrated: MigratedDatabase = request.getfixturevalue(f"migrated_{name}")
    with migrated("delivery", partial(migrate_store, name)) as database:
        async with opened(name, database) as store:
            yield store
