"""The servers of a test session: each starts when the first test asks for it, and stops when the session ends."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from stack.servers.rabbitmq import RabbitMQPorts, RabbitMQServer
from tests.support.copies import MariaDBCopies, Migrate, PostgresCopies
from tests.support.databases import (
    Database,
    create_mariadb,
    create_postgres,
    drop_mariadb,
    drop_postgres,
)
from tests.support.folders import private_folder
from tests.support.ports import free_port
from tests.support.running import RunningServer
from tests.support.vhosts import Vhosts

RABBITMQ_USER = "test"


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """A private folder that a server's own user can reach too, which pytest's folders are not when root runs them."""
    with private_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[RunningServer[PostgresServer]]:
    server = PostgresServer(servers_folder / "postgres", free_port(), secrets.token_hex(16))
    yield from _running(server, servers_folder)


@pytest.fixture(scope="session")
def mariadb_server(servers_folder: Path) -> Iterator[RunningServer[MariaDBServer]]:
    server = MariaDBServer(servers_folder / "mariadb", free_port(), secrets.token_hex(16))
    yield from _running(server, servers_folder)


@pytest.fixture(scope="session")
def rabbitmq_server(servers_folder: Path) -> Iterator[RunningServer[RabbitMQServer]]:
    ports = RabbitMQPorts(amqp=free_port(), epmd=free_port(), distribution=free_port(), tools=free_port())
    server = RabbitMQServer(servers_folder / "rabbitmq", ports, RABBITMQ_USER, secrets.token_hex(16))
    yield from _running(server, servers_folder)


@pytest.fixture
def postgres_database(postgres_server: RunningServer[PostgresServer]) -> Iterator[Database]:
    """A fresh, empty database of Postgres: ``.dsn``."""
    database = create_postgres(postgres_server.server)
    yield database
    postgres_server.start()
    drop_postgres(postgres_server.server, database)


@pytest.fixture
def mariadb_database(mariadb_server: RunningServer[MariaDBServer]) -> Iterator[Database]:
    """A fresh, empty database of MariaDB: ``.address``, ``.name``, ``.user``, ``.password``."""
    database = create_mariadb(mariadb_server.server)
    yield database
    mariadb_server.start()
    drop_mariadb(mariadb_server.server, database)


MigratedDatabase = Callable[[str, Migrate], AbstractContextManager[Database]]


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: RunningServer[PostgresServer]) -> MigratedDatabase:
    """Lends a fresh database with the schema that is named, which ``migrate`` makes the first time."""
    copies = PostgresCopies(postgres_server.server)

    @contextmanager
    def lent(schema: str, migrate: Migrate) -> Iterator[Database]:
        database = copies.create(schema, migrate)
        yield database
        postgres_server.start()
        drop_postgres(postgres_server.server, database)

    return lent


@pytest.fixture(scope="session")
def migrated_mariadb(mariadb_server: RunningServer[MariaDBServer]) -> MigratedDatabase:
    """The same in MariaDB."""
    copies = MariaDBCopies(mariadb_server.server)

    @contextmanager
    def lent(schema: str, migrate: Migrate) -> Iterator[Database]:
        database = copies.create(schema, migrate)
        yield database
        mariadb_server.start()
        drop_mariadb(mariadb_server.server, database)

    return lent


@pytest.fixture(scope="session")
def rabbitmq_vhosts(rabbitmq_server: RunningServer[RabbitMQServer]) -> Vhosts:
    return Vhosts(rabbitmq_server.server, RABBITMQ_USER)


@pytest.fixture
def rabbitmq_vhost(rabbitmq_server: RunningServer[RabbitMQServer], rabbitmq_vhosts: Vhosts) -> Iterator[str]:
    """The AMQP URL of a fresh, empty vhost."""
    vhost = rabbitmq_vhosts.take()
    yield rabbitmq_server.server.amqp_url(vhost)
    rabbitmq_server.start()
    rabbitmq_vhosts.leave(vhost)


def _running(server: PostgresServer | MariaDBServer | RabbitMQServer, folder: Path) -> Iterator[RunningServer]:  # type: ignore[type-arg]
    running = RunningServer(server, folder / f"{server.name}.log")
    try:
        running.start()
        yield running
    finally:
        running.stop()
