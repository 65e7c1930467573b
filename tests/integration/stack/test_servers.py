"""The servers that the fixtures start are the ones that the stack starts, with the same settings."""

import aio_pika
import asyncpg
import psycopg
import pymysql
import pytest
from aiormq.exceptions import ProbableAuthenticationError

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from stack.servers.rabbitmq import RabbitMQServer
from tests.support.databases import Database
from tests.support.running import RunningServer


async def test_postgres_checks_its_pages_and_flushes_every_commit(postgres_database: Database) -> None:
    connection = await asyncpg.connect(postgres_database.dsn)
    try:
        names = ("data_checksums", "fsync", "synchronous_commit", "password_encryption", "server_encoding", "TimeZone")
        shown = [await connection.fetchval(f"SHOW {name}") for name in names]
    finally:
        await connection.close()
    assert shown == ["on", "on", "on", "scram-sha-256", "UTF8", "UTC"]


async def test_postgres_lets_nobody_in_without_a_password(postgres_database: Database) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_database.dsn.replace(postgres_database.password, "wrong"))


def test_mariadb_flushes_every_commit(mariadb_database: Database) -> None:
    with (
        pymysql.connect(
            host=mariadb_database.host,
            port=mariadb_database.port,
            user=mariadb_database.user,
            password=mariadb_database.password,
            database=mariadb_database.name,
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@character_set_server, @@global.time_zone")
        assert cursor.fetchone() == (1, 0, "utf8mb4", "+00:00")


@pytest.mark.parametrize("user", ["root", "admin", ""])
def test_mariadb_lets_nobody_in_without_a_password(mariadb_server: RunningServer[MariaDBServer], user: str) -> None:
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(host="127.0.0.1", port=mariadb_server.server.port, user=user, password="")


async def test_rabbitmq_carries_a_message_in_a_fresh_vhost(rabbitmq_vhost: str) -> None:
    connection = await aio_pika.connect(rabbitmq_vhost)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        queue = await channel.declare_queue("q", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"hello"), "q", mandatory=True)
        message = await queue.get(timeout=5)
        assert message is not None
        assert message.body == b"hello"
        await message.ack()


async def test_rabbitmq_has_no_default_user(rabbitmq_server: RunningServer[RabbitMQServer]) -> None:
    url = rabbitmq_server.server.amqp_url()
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(
            url.replace(rabbitmq_server.server.login, "guest", 1).replace(rabbitmq_server.server.password, "guest")
        )


def test_postgres_keeps_what_was_committed_before_a_kill(
    postgres_server: RunningServer[PostgresServer], postgres_database: Database
) -> None:
    with psycopg.connect(postgres_database.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postgres_server.kill()
    postgres_server.start()
    with psycopg.connect(postgres_database.dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
