"""Whether a service's schema is there: for /readyz, so that a service that is ahead of its migrations gets no work."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from ticketflow.runtime import mariadb
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.postgres import PostgresPool

Applied: TypeAlias = Callable[[], Awaitable[set[str]]]

SHOWN_MAX = 3


class SchemaCheck:
    """For ``Health.add``. Asks until all of ``folders`` are applied, then never again: migrations only add."""

    def __init__(self, folders: Sequence[Path], applied: Applied) -> None:
        self._missing = sorted(file.stem for folder in folders for file in folder.glob("*.sql"))
        self._applied = applied
        self._seen_missing = False

    async def check(self) -> None:
        """Raises Unavailable, which names what is missing. A store that is away is not ours to report, and what it
        was seen to lack it lacks until it is seen to have it."""
        if not self._missing:
            return
        try:
            applied = await self._applied()
        except Unavailable:
            applied = None
        if applied is not None:
            self._missing = [name for name in self._missing if name not in applied]
            self._seen_missing = bool(self._missing)
        if self._seen_missing:
            more = ", ..." if len(self._missing) > SHOWN_MAX else ""
            raise Unavailable(f"not applied: {', '.join(self._missing[:SHOWN_MAX])}{more}; run `migrate`")


def applied_in_postgres(pool: PostgresPool) -> Applied:
    """Names of the migrations that have been applied, as yoyo notes them."""

    async def applied() -> set[str]:
        async with pool.acquire() as conn:
            if await conn.fetchval("SELECT to_regclass('_yoyo_migration')") is None:
                return set()
            return {row[0] for row in await conn.fetch("SELECT migration_id FROM _yoyo_migration")}

    return applied


def applied_in_mariadb(pool: MariaDBPool) -> Applied:
    async def applied() -> set[str]:
        async with pool.acquire() as conn:
            if not await mariadb.query(conn, "SHOW TABLES LIKE '\\_yoyo\\_migration'"):
                return set()
            return {
                row["migration_id"] for row in await mariadb.query(conn, "SELECT migration_id FROM _yoyo_migration")
            }

    return applied
