"""Postgres with TLS, its certificate checked, behind two addresses: the DSN of production."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import account
from stack.servers.postgres import PostgresServer
from tests.integration.runtime.kits import PostgresKit
from tests.support.authority import Authority
from tests.support.proxies import two_proxies
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.migrate import migrate


@pytest.fixture
def ca(
    postgres: PostgresKit, postgres_server: RunningServer[PostgresServer], authority: Authority
) -> Iterator[tuple[Path, Path]]:
    """The CA of the server's certificate, which is for localhost and 127.0.0.1; and another one."""
    cert, key, ours = authority("ours", "haproxy1")
    server = postgres_server.server
    for name, file in (("server.crt", cert), ("server.key", key)):
        copy = server.data / name
        shutil.copy(file, copy)
        copy.chmod(0o600)
        account.give(copy, server.user)
    _set(postgres, "on")
    yield ours, authority("theirs", "haproxy1")[2]
    _set(postgres, "off")


def _set(postgres: PostgresKit, ssl: str) -> None:
    postgres.as_admin(f"ALTER SYSTEM SET ssl = {ssl}")
    postgres.as_admin("SELECT pg_reload_conf()")


def dsn_of(postgres: PostgresKit, hosts: str, ca: Path) -> str:
    plain = postgres.database.dsn.replace(postgres.database.address, hosts)
    return f"{plain}?sslmode=verify-full&sslrootcert={ca}"


async def test_both_hosts_are_reached_and_checked(postgres: PostgresKit, ca: tuple[Path, Path]) -> None:
    with two_proxies(postgres.database.port) as (one, two):
        hosts = f"{one.address},localhost:{two.port}"
        pool = await postgres.pool(dsn=dsn_of(postgres, hosts, ca[0]))
        await wait_until(lambda: encrypted(pool))
        one.kill()
        await wait_until(lambda: encrypted(pool))
        one.start()
        one.freeze()
        two.kill()
        two.start()
        await wait_until(lambda: encrypted(pool))


async def test_a_certificate_of_somebody_else_is_refused(postgres: PostgresKit, ca: tuple[Path, Path]) -> None:
    pool = await postgres.pool(dsn=dsn_of(postgres, postgres.database.address, ca[1]), acquire_timeout_s=0.3)
    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        await pool.ping()


async def test_migrations_know_both_hosts_and_check_too(
    postgres: PostgresKit, ca: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (n int);")
    with two_proxies(postgres.database.port) as (one, two):
        one.kill()
        assert migrate(dsn_of(postgres, f"{one.address},{two.address}", ca[0]), [tmp_path], "test") == 1
        with pytest.raises(Unavailable, match="certificate"):
            migrate(dsn_of(postgres, f"{one.address},{two.address}", ca[1]), [tmp_path], "test")


async def encrypted(pool: object) -> bool:
    async with pool.acquire() as connection:  # type: ignore[attr-defined]
        return bool(await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
