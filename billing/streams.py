"""``python -m billing stream ...``: forks, phantoms and holes of its streams."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from billing.service import database
from billing.settings import DatabaseSettings
from ticketflow.delivery import MariaDBDialect
from ticketflow.delivery.history import StreamHistory
from ticketflow.delivery.stream_commands import main as commands
from ticketflow.runtime import log
from ticketflow.runtime.mariadb import Connection
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("billing", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[StreamHistory[Connection]]:
    settings = load(DatabaseSettings, "BILLING")
    log.configure("billing", settings.instance, "error")  # people read this, and are told what matters
    pool = database(settings, size_max=1)
    await pool.open()
    try:
        yield StreamHistory(pool, MariaDBDialect())
    finally:
        await pool.close()
