"""The store as the commands for people have it: parked, stream, lanes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from portal.settings import DatabaseSettings
from ticketflow.runtime import log
from ticketflow.runtime.postgres import PostgresPool
from ticketflow.runtime.settings import load


@asynccontextmanager
async def command_pool(name: str, size_max: int = 1) -> AsyncIterator[PostgresPool]:
    """Open while the command runs. Raises SettingsError, Unavailable."""
    settings = load(DatabaseSettings, "PORTAL")
    log.configure("portal", settings.instance, "error")  # people read this, and are told what matters
    pool = PostgresPool(settings.database_dsn, name=name, size_max=size_max)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
