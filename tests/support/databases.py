"""An empty database, or vhost, for one test."""

import secrets
from dataclasses import dataclass

import psycopg
import pymysql
from psycopg import sql

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from stack.stores import ensure_mariadb, ensure_postgres


@dataclass(frozen=True)
class Database:
    """How to reach it; the user owns it."""

    host: str
    port: int
    name: str
    user: str
    password: str

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.name}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def fresh_name() -> str:
    return f"test_{secrets.token_hex(6)}"


def create_postgres(server: PostgresServer) -> Database:
    name = fresh_name()
    database = Database("127.0.0.1", server.port, name, name, secrets.token_hex(8))
    ensure_postgres(server, name, database.password)
    return database


def drop_postgres(server: PostgresServer, database: Database) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))
        if database.user == database.name:  # else others belong to it too: see copies.py
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(database.user)))


def create_mariadb(server: MariaDBServer) -> Database:
    name = fresh_name()
    database = Database("127.0.0.1", server.port, name, name, secrets.token_hex(8))
    ensure_mariadb(server, name, database.password)
    return database


def connect_mariadb(database: Database) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """A connection of its own user, autocommit on."""
    return pymysql.connect(
        host=database.host,
        port=database.port,
        user=database.user,
        password=database.password,
        database=database.name,
        autocommit=True,
    )


def drop_mariadb(server: MariaDBServer, database: Database) -> None:
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"DROP USER IF EXISTS '{database.user}'@'127.0.0.1'")
        cursor.execute(f"DROP DATABASE IF EXISTS `{database.name}`")
