"""The town's databases are migrated once; each test has an event, and buyers, of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from billing import service as billing
from billing.settings import DatabaseSettings as BillingDatabase
from portal import service as portal
from portal.settings import DatabaseSettings as PortalDatabase
from reservation import service as reservation
from reservation.settings import DatabaseSettings as ReservationDatabase
from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from tests.integration.audit.town import Databases, Town
from tests.integration.sandbox.process import ProviderProcess
from tests.support.databases import create_mariadb, create_postgres, drop_mariadb, drop_postgres
from tests.support.running import RunningServer
from ticketflow.feed import Address
from ticketflow.runtime.settings import Secret


@pytest.fixture(scope="package")
def provider_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    process = ProviderProcess(tmp_path_factory.mktemp("provider"))
    process.start()
    yield process
    process.kill()


@contextmanager
def migrated(
    postgres: RunningServer[PostgresServer], mariadb: RunningServer[MariaDBServer], provider: ProviderProcess
) -> Iterator[Databases]:
    seats, sales, money = (
        create_postgres(postgres.server),
        create_postgres(postgres.server),
        create_mariadb(mariadb.server),
    )
    settings = BillingDatabase(
        database_hosts=(Address.parse(money.address),),
        database_name=money.name,
        database_user=money.user,
        database_password=Secret(money.password),
    )
    reservation.migrate(ReservationDatabase(database_dsn=Secret(seats.dsn)))
    portal.migrate(PortalDatabase(database_dsn=Secret(sales.dsn)))
    billing.run_migrations(settings)
    yield Databases(seats.dsn, sales.dsn, settings, provider.url, mariadb.server)
    drop_postgres(postgres.server, seats)
    drop_postgres(postgres.server, sales)
    drop_mariadb(mariadb.server, money)


@pytest.fixture(scope="package")
def databases(
    postgres_server: RunningServer[PostgresServer],
    mariadb_server: RunningServer[MariaDBServer],
    provider_process: ProviderProcess,
) -> Iterator[Databases]:
    with migrated(postgres_server, mariadb_server, provider_process) as made:
        yield made


@pytest.fixture
async def town(databases: Databases, provider_process: ProviderProcess) -> AsyncIterator[Town]:
    await provider_process.ready()
    async with Town.opened(databases) as town:
        yield town
