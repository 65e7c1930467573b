"""Schema migrations: yoyo over plain .sql files, safe with many migrators and with killed ones.

Laws:
- One migrator at a time: an advisory lock of the database, on a connection of its own, which the server frees by
  itself when that migrator dies. yoyo's own lock is a row that a killed migrator leaves behind; it is broken while
  ours is held.
- Postgres: a file's statements and the note that it has been applied are one transaction: killed half-way, nothing
  has happened. (yoyo by itself notes it in a second transaction.)
- MariaDB commits each DDL statement by itself: killed half-way, a file is run again from its first statement. So
  **each statement in a MariaDB file must be re-runnable** (CREATE TABLE IF NOT EXISTS, ADD COLUMN IF NOT EXISTS,
  INSERT IGNORE), or the file must hold that one statement only and fail harmlessly when it is run again.
- Files are named ``0001_what.sql``; their names must differ over all folders; one that has been released never changes.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yoyo
from yoyo.backends.base import DatabaseBackend
from yoyo.migrations import Migration

from ticketflow.runtime.errors import MigrationError, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.migrate_lock import mariadb_lock, postgres_lock

LOCK_TIMEOUT_S = 120.0
# Of the services' `migrate`: a failover takes 25 s, and a cluster that is starting as long. It says that it waits.
PATIENCE_S = 60.0
RETRY_S = 1.0

log = get_logger("migrate")


def migrate(
    url: str,
    folders: Sequence[Path],
    lock_name: str,
    *,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    patience_s: float = 0.0,
) -> int:
    """Applies the .sql files of ``folders``, folder by folder, that have not been applied; how many it applied.

    ``url``: postgresql://... (of several hosts the one that takes writes) or mysql://user:pass@host:port[,host:port]/db.
    Waits up to ``lock_timeout_s`` for another migrator, and up to ``patience_s`` for a server that cannot be reached.
    Raises Unavailable when it still cannot be, and MigrationError, with the name of the file, when a statement fails.
    """
    _check_names(folders)
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return _migrate(url, folders, lock_name, lock_timeout_s)
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise
            log.warning("migration_waits", reason=str(error).splitlines()[0])
            time.sleep(RETRY_S)


def _migrate(url: str, folders: Sequence[Path], lock_name: str, lock_timeout_s: float) -> int:
    scheme = urlsplit(url).scheme
    if scheme.startswith("postgres"):
        with postgres_lock(url, lock_name, lock_timeout_s) as yoyo_url:
            return _apply_all(yoyo_url, folders)
    if scheme.startswith(("mysql", "mariadb")):
        with mariadb_lock(url, lock_name, lock_timeout_s) as yoyo_url:
            return _apply_all(yoyo_url, folders)
    raise MigrationError(f"cannot migrate {scheme}://: only postgresql:// and mysql:// are known")


def _check_names(folders: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise MigrationError(f"{folder} is no folder")
        for file in sorted(folder.glob("*.sql")):
            if file.stem in seen:
                raise MigrationError(f"{file} and {seen[file.stem]} have the same name; yoyo would apply only one")
            seen[file.stem] = file


def _apply_all(url: str, folders: Sequence[Path]) -> int:
    backend = yoyo.get_backend(url)
    try:
        backend.break_lock()
        backend.ensure_internal_schema_updated()
        applied = 0
        for folder in folders:
            migrations = yoyo.read_migrations(str(folder.resolve()))
            for migration in backend.to_apply(migrations):
                _apply(backend, migration)
                log.info("migration_applied", migration=migration.id)
                applied += 1
        return applied
    finally:
        backend.connection.close()


def _apply(backend: DatabaseBackend, migration: Migration) -> None:
    try:
        migration.load()
        if backend.has_transactional_ddl and migration.use_transactions:
            with backend.transaction():
                migration.process_steps(backend, "apply")
                backend.mark_one(migration, log=False)
        else:
            with backend.copy() as own:
                migration.process_steps(own, "apply")
            with backend.transaction():
                backend.mark_one(migration, log=False)
    except backend.DatabaseError as error:
        raise MigrationError(f"{migration.id}: {str(error).strip()}") from error
