"""Migrated databases as copies of one that was migrated once: the migrations take longer than most of the tests do.

tests/integration/runtime/test_copies.py shows that a copy is what the migrations would have made.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import psycopg
import pymysql
from psycopg import sql

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from tests.support.databases import (
    Database,
    connect_mariadb,
    create_mariadb,
    create_postgres,
    drop_mariadb,
    fresh_name,
)

Migrate = Callable[[Database], object]


class PostgresCopies:
    """Of one server. ``schema`` names what ``migrate`` makes of an empty database."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._templates: dict[str, Database] = {}

    def create(self, schema: str, migrate: Migrate) -> Database:
        """It belongs to the same user as all of its schema do."""
        if schema not in self._templates:
            template = create_postgres(self._server)
            migrate(template)
            self._templates[schema] = template
        template = self._templates[schema]
        copy = replace(template, name=fresh_name())
        with psycopg.connect(self._server.dsn(), autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                    *(sql.Identifier(name) for name in (copy.name, template.name, template.user))
                )
            )
        return copy


@dataclass(frozen=True)
class _Table:
    name: str
    create: str
    insert: str  # of one row
    rows: list[tuple[object, ...]]


@dataclass(frozen=True)
class _Template:
    tables: list[_Table]
    triggers: list[str]


class MariaDBCopies:
    """Likewise. MariaDB copies no database: each table is made as it is described, and filled; then the triggers."""

    def __init__(self, server: MariaDBServer) -> None:
        self._server = server
        self._templates: dict[str, _Template] = {}

    def create(self, schema: str, migrate: Migrate) -> Database:
        if schema not in self._templates:
            template = create_mariadb(self._server)
            migrate(template)
            with self._server.connect() as admin, admin.cursor() as cursor:
                self._templates[schema] = _read(cursor, template.name)
            drop_mariadb(self._server, template)
        copy = create_mariadb(self._server)
        with connect_mariadb(copy) as owner, owner.cursor() as cursor:  # as whom the triggers will act
            cursor.execute("SET foreign_key_checks = 0")  # they may refer to each other in any order
            for table in self._templates[schema].tables:
                cursor.execute(table.create)
                if table.rows:
                    cursor.executemany(table.insert, table.rows)
            for trigger in self._templates[schema].triggers:
                cursor.execute(trigger)
        return copy


def _read(cursor: pymysql.cursors.Cursor, database: str) -> _Template:
    for kind, column in (("ROUTINES", "ROUTINE_SCHEMA"), ("EVENTS", "EVENT_SCHEMA")):
        cursor.execute(f"SELECT count(*) FROM information_schema.{kind} WHERE {column} = %s", (database,))
        assert cursor.fetchone() == (0,), f"a copy would have no {kind}"
    cursor.execute(f"USE `{database}`")
    cursor.execute("SHOW FULL TABLES")
    kinds = dict(cursor.fetchall())
    assert set(kinds.values()) == {"BASE TABLE"}, kinds
    cursor.execute("SHOW TRIGGERS")
    triggers = sorted(row[0] for row in cursor.fetchall())
    return _Template([_table(cursor, name) for name in sorted(kinds)], [_trigger(cursor, name) for name in triggers])


def _trigger(cursor: pymysql.cursors.Cursor, name: str) -> str:
    cursor.execute(f"SHOW CREATE TRIGGER `{name}`")
    return re.sub(r"^CREATE DEFINER=\S+ ", "CREATE ", cursor.fetchall()[0][2])


def _table(cursor: pymysql.cursors.Cursor, name: str) -> _Table:
    cursor.execute(f"SHOW CREATE TABLE `{name}`")
    create = cursor.fetchall()[0][1]
    cursor.execute(f"SHOW COLUMNS FROM `{name}`")
    columns = [column for column, *_, extra in cursor.fetchall() if "GENERATED" not in extra]
    listed = ", ".join(f"`{column}`" for column in columns)
    cursor.execute(f"SELECT {listed} FROM `{name}`")
    insert = f"INSERT INTO `{name}` ({listed}) VALUES ({', '.join(['%s'] * len(columns))})"
    return _Table(name, create, insert, list(cursor.fetchall()))
