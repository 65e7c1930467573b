"""``python -m portal stream ...``: forks, phantoms and holes of its streams."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from portal.settings import DatabaseSettings
from ticketflow.delivery import PostgresDialect
from ticketflow.delivery.history import StreamHistory
from ticketflow.delivery.stream_commands import main as commands
from ticketflow.runtime import log
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("portal", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[StreamHistory[Connection]]:
    settings = load(DatabaseSettings, "PORTAL")
    log.configure("portal", settings.instance, "error")  # people read this, and are told what matters
    pool = PostgresPool(settings.database_dsn, name="stream", size_max=1)
    await pool.open()
    try:
        yield StreamHistory(pool, PostgresDialect())
    finally:
        await pool.close()
