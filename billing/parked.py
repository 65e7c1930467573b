"""``python -m billing parked ...``: what the feed from reservation could not apply."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from billing.changes import Changes
from billing.handlers import handlers
from billing.service import IN_STREAM, OUT_STREAM, database
from billing.settings import DatabaseSettings
from ticketflow.delivery import MariaDBDialect, Outbox, Parking
from ticketflow.delivery.parking_commands import main as commands
from ticketflow.delivery.parking_shelf import Shelf
from ticketflow.runtime import log
from ticketflow.runtime.mariadb import Connection
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("billing", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[Shelf]:
    settings = load(DatabaseSettings, "BILLING")
    log.configure("billing", settings.instance, "error")  # people read this, and are told what matters
    pool = database(settings, size_max=2)
    dialect = MariaDBDialect()
    outbox: Outbox[Connection] = Outbox(dialect, OUT_STREAM)
    await pool.open()
    try:
        yield Parking(pool, dialect, stream=IN_STREAM, handlers=handlers(Changes(outbox)), outboxes=[OUT_STREAM])
    finally:
        await pool.close()
