"""Billing on a real MariaDB, with a real payment provider beside it; reservation is played by the test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from billing import service
from billing.settings import DatabaseSettings
from tests.integration.billing.books import Books
from tests.integration.billing.hooked import HookedWorld, adapter, sending_sandbox
from tests.integration.billing.world import World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.databases import Database
from tests.support.ports import free_port
from tests.support.servers import MigratedDatabase
from ticketflow.feed import Address
from ticketflow.runtime.settings import Secret


@pytest.fixture(scope="session")
def provider_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    environment = {"SANDBOX_MERCADOPAGO_CURRENCY": "EUR"}  # in which all is sold here
    process = ProviderProcess(tmp_path_factory.mktemp("provider"), environment)
    process.start()
    yield process
    process.kill()


@pytest.fixture
async def provider_ready(provider_process: ProviderProcess) -> ProviderProcess:
    """The provider, up and without faults."""
    await provider_process.ready()
    async with provider_process.client() as bank:
        await bank.delete("/v1/faults")
    return provider_process


@pytest.fixture
def billing_schema(migrated_mariadb: MigratedDatabase) -> Iterator[DatabaseSettings]:
    """A fresh database with billing's schema, for a test that runs its own loop."""
    with migrated_mariadb("billing", lambda empty: service.run_migrations(settings_of(empty))) as database:
        yield settings_of(database)


def settings_of(database: Database) -> DatabaseSettings:
    return DatabaseSettings(
        database_hosts=(Address.parse(database.address),),
        database_name=database.name,
        database_user=database.user,
        database_password=Secret(database.password),
    )


@pytest.fixture
async def billing_database(billing_schema: DatabaseSettings) -> DatabaseSettings:
    """A fresh database with billing's schema."""
    return billing_schema


@pytest.fixture
async def world(billing_database: DatabaseSettings, provider_ready: ProviderProcess) -> AsyncIterator[World]:
    async with World.opened(billing_database, provider_ready.url, PROVIDER_KEY) as opened:
        yield opened


@pytest.fixture
async def books(billing_database: DatabaseSettings) -> AsyncIterator[Books]:
    """The ledger alone: no provider, no events."""
    async with Books.opened(billing_database) as opened:
        yield opened


@pytest.fixture
def hooks_port() -> int:
    """Where webhooks go: billing's API."""
    return free_port()


@pytest.fixture
async def sandbox(hooks_port: int, tmp_path: Path) -> AsyncIterator[ProviderProcess]:
    """A provider of this test's own, which sends webhooks."""
    with sending_sandbox(tmp_path, hooks_port) as process:
        await process.ready()
        yield process


@pytest.fixture
async def hooked(
    request: pytest.FixtureRequest, billing_database: DatabaseSettings, sandbox: ProviderProcess, hooks_port: int
) -> AsyncIterator[HookedWorld]:
    """With the sandbox's own wire, or the one that the test is parametrised with."""
    provider = adapter(getattr(request, "param", "sandbox"), sandbox.url)
    async with HookedWorld.opened(billing_database, sandbox.url, PROVIDER_KEY, provider, port=hooks_port) as opened:
        yield opened
