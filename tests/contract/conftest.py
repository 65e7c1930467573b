"""One suite for both stores: every test that takes ``store`` runs against Postgres and against MariaDB."""

from collections.abc import AsyncIterator

import pytest
import structlog

from tests.contract.stores import Store, open_store


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Failures are logged on purpose here, and a drawn traceback costs half a second."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])


@pytest.fixture(params=["postgres", "mariadb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A fresh database of one kind, migrated."""
    async with open_store(request.param, request.getfixturevalue(f"{request.param}_database")) as opened:
        yield opened


@pytest.fixture(params=["postgres->mariadb", "mariadb->postgres"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, Store]]:
    """A sending store and a receiving store, each way round."""
    sender, receiver = request.param.split("->")
    async with (
        open_store(sender, request.getfixturevalue(f"{sender}_database")) as sending,
        open_store(receiver, request.getfixturevalue(f"{receiver}_database")) as receiving,
    ):
        yield sending, receiving
