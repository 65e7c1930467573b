"""Backups as people make and restore them: with the servers' own tools, while the service runs or stands still."""

import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from stack import tools
from tests.support.databases import Database


def back_up_postgres(database: Database, folder: Path) -> Path:
    """A consistent copy of the database as it is now; others may go on writing."""
    file = folder / f"{database.name}.dump"
    _run([tools.postgres("pg_dump"), "--format=custom", f"--file={file}", database.dsn])
    return file


def restore_postgres(database: Database, file: Path, admin_dsn: str) -> None:
    """The database is that of ``file`` again. Whoever is connected is cut off."""
    name = sql.Identifier(database.name)
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(database.user)))
    _run([tools.postgres("pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={database.dsn}", str(file)])


def back_up_mariadb(database: Database, folder: Path) -> Path:
    """A consistent copy of the database as it is now; others may go on writing."""
    file = folder / f"{database.name}.sql"
    file.write_bytes(
        _run([tools.find("mariadb-dump"), *_account(database), "--single-transaction", "--routines", database.name])
    )
    return file


def restore_mariadb(database: Database, file: Path) -> None:
    """The database is that of ``file`` again. Nobody else may write meanwhile."""
    anew = f"DROP DATABASE `{database.name}`; CREATE DATABASE `{database.name}`; USE `{database.name}`;\n"
    _run([tools.find("mariadb"), *_account(database)], anew.encode() + file.read_bytes())


def _account(database: Database) -> list[str]:
    return [
        "--no-defaults",
        f"--host={database.host}",
        f"--port={database.port}",
        f"--user={database.user}",
        f"--password={database.password}",
    ]


def _run(command: list[str], stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
