"""The lock that only one migrator holds: the database's own, on a connection that does nothing else.

Both give the URL by which yoyo connects to the very server that holds the lock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg
import pymysql

from ticketflow.runtime.address import Address, parse_addresses
from ticketflow.runtime.errors import MigrationError, Unavailable
from ticketflow.runtime.log import get_logger

CONNECT_TIMEOUT_S = 5
POLL_S = 0.1
TLS_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey")  # the migrator's own connection is as safe as the lock's
LOCK_NAME_CHARS_MAX = 64  # GET_LOCK's limit

log = get_logger("migrate")


@contextmanager
def postgres_lock(url: str, name: str, timeout_s: float) -> Iterator[str]:
    """Holds pg_advisory_lock. Polled, since a session that waits inside the server blocks CREATE INDEX CONCURRENTLY."""
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, target_session_attrs="read-write"
        )
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres: {str(error).strip()}") from error
    with connection:
        deadline = time.monotonic() + timeout_s
        while True:
            row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
            if row is not None and row[0]:
                break
            _wait_or_give_up(name, deadline)
        info = connection.info
        user, password = quote(info.user, safe=""), quote(info.password, safe="")
        given = dict(parse_qsl(urlsplit(url).query))
        options = {
            "host": info.host,
            "port": info.port,
            "connect_timeout": CONNECT_TIMEOUT_S,
            **{option: given[option] for option in TLS_OPTIONS if option in given},
        }
        yield f"postgresql+psycopg://{user}:{password}@/{quote(info.dbname, safe='')}?{urlencode(options)}"


@contextmanager
def mariadb_lock(url: str, name: str, timeout_s: float) -> Iterator[str]:
    """Holds GET_LOCK. On a Galera cluster the lock is the node's, not the cluster's: migrate through the one writer."""
    parts = urlsplit(url)
    database = unquote(parts.path.lstrip("/"))
    account, _at, hosts = parts.netloc.rpartition("@")
    user, _colon, password = account.partition(":")
    address, connection = _first_mariadb(hosts, unquote(user), unquote(password), database)
    with connection, connection.cursor() as cursor:
        lock = f"{name}@{database}"[:LOCK_NAME_CHARS_MAX]  # GET_LOCK is server-wide, not per database
        deadline = time.monotonic() + timeout_s
        while True:
            cursor.execute("SELECT GET_LOCK(%s, 0)", (lock,))
            row = cursor.fetchone()
            if row is not None and row[0] == 1:
                break
            _wait_or_give_up(name, deadline)
        options = {"charset": "utf8mb4", **dict(parse_qsl(parts.query))}
        yield f"mysql://{account}@{address}/{quote(database, safe='')}?{urlencode(options)}"


def _first_mariadb(
    hosts: str, user: str, password: str, database: str
) -> "tuple[Address, pymysql.Connection[pymysql.cursors.Cursor]]":
    """The first of ``host:port[,host:port]`` that lets us in."""
    failures = []
    for address in parse_addresses(hosts):
        try:
            connection = pymysql.connect(
                host=address.host,
                port=address.port,
                user=user,
                password=password,
                database=database,
                charset="utf8mb4",
                connect_timeout=CONNECT_TIMEOUT_S,
                autocommit=True,
            )
        except pymysql.OperationalError as error:
            failures.append(f"{address}: {error}")
        else:
            return address, connection
    raise Unavailable(f"MariaDB: {'; '.join(failures)}")


def _wait_or_give_up(name: str, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise MigrationError(f"another migrator has been holding the lock {name!r} for too long")
    time.sleep(POLL_S)
