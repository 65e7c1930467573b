"""The store as the commands for people have it: parked, stream, lanes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from billing.service import database
from billing.settings import DatabaseSettings
from ticketflow.runtime import log
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.settings import load


@asynccontextmanager
async def command_pool(size_max: int = 1) -> AsyncIterator[MariaDBPool]:
    """Open while the command runs. Raises SettingsError, Unavailable."""
    settings = load(DatabaseSettings, "BILLING")
    log.configure("billing", settings.instance, "error")  # people read this, and are told what matters
    pool = database(settings, size_max=size_max)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()
