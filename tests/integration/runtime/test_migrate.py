"""Migrations on both databases: once, together, killed half-way, and failing."""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from tests.support.databases import Database
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.runtime.errors import MigrationError, Unavailable
from ticketflow.runtime.migrate import migrate

PROGRAM = "import sys; from pathlib import Path; from ticketflow.runtime.migrate import migrate; \
print(migrate(sys.argv[1], [Path(sys.argv[2])], 'test'))"


@dataclass
class Target:
    """A database as migrations see it."""

    url: str
    rows: Callable[[str], list[Any]]
    hold_lock: Callable[[], Any]
    transactional: bool

    def tables(self) -> set[str]:
        mine = "table_schema = 'public'" if self.transactional else "table_schema = DATABASE()"
        found = self.rows(f"SELECT table_name FROM information_schema.tables WHERE {mine}")
        return {row[0] for row in found if "yoyo" not in row[0]}


def _postgres(database: Database) -> Target:
    def rows(sql: str) -> list[Any]:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def hold_lock() -> Any:
        connection = psycopg.connect(database.dsn)
        connection.execute("LOCK TABLE one IN ACCESS EXCLUSIVE MODE")
        return connection

    return Target(database.dsn, rows, hold_lock, transactional=True)


def _mariadb(database: Database) -> Target:
    def connect() -> Any:
        return pymysql.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password,
            database=database.name,
            autocommit=True,
        )

    def rows(sql: str) -> list[Any]:
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def hold_lock() -> Any:
        connection = connect()
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLES one WRITE")
        return connection

    url = f"mysql://{database.user}:{database.password}@{database.address}/{database.name}"
    return Target(url, rows, hold_lock, transactional=False)


@pytest.fixture(params=["postgres", "mariadb"])
def target(request: pytest.FixtureRequest) -> Target:
    database: Database = request.getfixturevalue(f"{request.param}_database")
    return _postgres(database) if request.param == "postgres" else _mariadb(database)


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def make(*tables: str) -> str:
    return "\n".join(f"CREATE TABLE IF NOT EXISTS {table} (n INT PRIMARY KEY);" for table in tables)


def test_folders_are_applied_in_their_order_and_only_once(target: Target, tmp_path: Path) -> None:
    first = write(tmp_path / "first", _0002_b="INSERT INTO one VALUES (2);", _0001_a="-- A first.\n" + make("one"))
    second = write(tmp_path / "second", _0001_c="INSERT INTO one VALUES (3);")
    assert migrate(target.url, [first, second], "test") == 3
    assert migrate(target.url, [first, second], "test") == 0
    write(second, _0002_d=make("two"))
    assert migrate(target.url, [first, second], "test") == 1
    assert target.tables() == {"one", "two"}
    assert sorted(target.rows("SELECT n FROM one")) == [(2,), (3,)]


def test_text_that_looks_like_parameters_or_like_an_end_is_only_text(target: Target, tmp_path: Path) -> None:
    text = "CREATE TABLE one (n VARCHAR(40)); -- a; comment\nINSERT INTO one VALUES ('50% of %s :x; é');"
    migrate(target.url, [write(tmp_path / "schema", _0001_a=text)], "test")
    assert target.rows("SELECT n FROM one") == [("50% of %s :x; é",)]


def test_a_function_with_semicolons_is_one_statement(postgres_database: Database, tmp_path: Path) -> None:
    text = """
    CREATE FUNCTION twice(x int) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE y int;
    BEGIN
      IF x > 0 THEN y := x * 2; ELSE y := 0; END IF;
      RETURN y;
    END
    $$;
    CREATE TABLE one (n INT);
    """
    target = _postgres(postgres_database)
    assert migrate(target.url, [write(tmp_path / "schema", _0001_a=text)], "test") == 1
    assert target.rows("SELECT twice(4)") == [(8,)]


def test_many_migrators_at_once_apply_each_step_once(target: Target, tmp_path: Path) -> None:
    files = {f"_000{n}_x": f"{make('one')}\nINSERT INTO one VALUES ({n});" for n in range(1, 6)}
    folder = write(tmp_path / "schema", **files)
    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(lambda _: migrate(target.url, [folder], "test"), range(4)))
    assert sorted(applied) == [0, 0, 0, 5]
    assert len(target.rows("SELECT n FROM one")) == 5


async def test_a_migrator_killed_half_way_is_followed_by_one_that_finishes(target: Target, tmp_path: Path) -> None:
    insert = "INSERT INTO one VALUES (1)" + (";" if target.transactional else " ON DUPLICATE KEY UPDATE n = n;")
    folder = write(tmp_path / "schema", _0001_a=make("one"))
    migrate(target.url, [folder], "test")
    write(folder, _0002_b=make("two") + insert + make("three"))
    holder = await asyncio.to_thread(target.hold_lock)
    victim = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, target.url, str(folder))
    await wait_until(lambda: _waits_for_one(target), timeout_s=20)
    victim.kill()
    await victim.wait()
    following = asyncio.create_task(asyncio.to_thread(migrate, target.url, [folder], "test"))
    holder.close()
    assert await following == 1
    assert target.tables() == {"one", "two", "three"}
    assert target.rows("SELECT n FROM one") == [(1,)]


def _waits_for_one(target: Target) -> bool:
    if target.transactional:
        sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO one%'"
    else:
        sql = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'INSERT INTO one%' AND state LIKE '%lock%'"
    return bool(target.rows(sql))


def test_a_step_that_fails_names_its_file_and_applies_nothing_after_it(target: Target, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "schema", _0001_a=make("one"), _0002_b=make("two") + "SELECT nonsense;", _0003_c=make("x")
    )
    with pytest.raises(MigrationError, match=r"_0002_b: .*nonsense"):
        migrate(target.url, [folder], "test")
    assert target.tables() == ({"one"} if target.transactional else {"one", "two"})
    write(folder, _0002_b=make("two"))
    assert migrate(target.url, [folder], "test") == 2


def test_waiting_for_another_migrator_ends(target: Target, tmp_path: Path) -> None:
    folder = write(tmp_path / "schema", _0001_a=make("one"))
    migrate(target.url, [folder], "test")
    write(folder, _0002_b="INSERT INTO one VALUES (1);")
    holder = target.hold_lock()
    slow = threading.Thread(target=migrate, args=(target.url, [folder], "test"))
    slow.start()
    try:
        with pytest.raises(MigrationError, match="another migrator"):
            _until_locked(target, folder)
    finally:
        holder.close()
        slow.join()


def _until_locked(target: Target, folder: Path) -> None:
    while not _waits_for_one(target):
        pass
    migrate(target.url, [folder], "test", lock_timeout_s=0.2)


@pytest.mark.parametrize("url", ["postgresql://u:p@127.0.0.1:1/d", "mysql://u:p@127.0.0.1:1/d"])
def test_a_server_that_is_away_is_unavailable(url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        migrate(url, [write(tmp_path / "schema")], "test")


def test_a_migrator_with_patience_waits_for_a_server_that_is_away(
    postgres_server: RunningServer[PostgresServer], postgres_database: Database, tmp_path: Path
) -> None:
    url = postgres_database.dsn
    folder = write(tmp_path / "schema", _0001_a="SELECT 1;")
    postgres_server.stop()
    try:
        with ThreadPoolExecutor() as threads:
            applied = threads.submit(migrate, url, [folder], "patient", patience_s=60)
            with pytest.raises(TimeoutError):
                applied.result(timeout=1.5)
            postgres_server.start()
            assert applied.result(timeout=60) == 1
    finally:
        postgres_server.start()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    folders: Sequence[Path] = [write(tmp_path / name, _0001_a=make("one")) for name in ("first", "second")]
    with pytest.raises(MigrationError, match="same name"):
        migrate("postgresql://nowhere/d", folders, "test")


def test_a_user_whose_password_has_odd_letters(
    postgres_server: RunningServer[PostgresServer], mariadb_server: RunningServer[MariaDBServer], tmp_path: Path
) -> None:
    folder = write(tmp_path / "schema")
    password, escaped = "a/b@c:d?e#f%g", "a%2Fb%40c%3Ad%3Fe%23f%25g"
    with psycopg.connect(postgres_server.server.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE odd LOGIN SUPERUSER PASSWORD '{password}'")
        assert (
            migrate(f"postgresql://odd:{escaped}@127.0.0.1:{postgres_server.server.port}/postgres", [folder], "t") == 0
        )
        admin.execute("DROP TABLE IF EXISTS _yoyo_log, _yoyo_version, _yoyo_migration, yoyo_lock")
        admin.execute("DROP ROLE odd")
    with mariadb_server.server.connect() as root, root.cursor() as cursor:
        cursor.execute("CREATE DATABASE odd")
        cursor.execute(f"CREATE USER 'odd'@'127.0.0.1' IDENTIFIED BY '{password}'")
        cursor.execute("GRANT ALL ON odd.* TO 'odd'@'127.0.0.1'")
        assert migrate(f"mysql://odd:{escaped}@127.0.0.1:{mariadb_server.server.port}/odd", [folder], "t") == 0
        cursor.execute("DROP USER 'odd'@'127.0.0.1'")
        cursor.execute("DROP DATABASE odd")
