"""``python -m reservation parked ...``: what the feed from portal could not apply."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from reservation.service import STREAM_IN, STREAM_OUT, handlers
from reservation.settings import DatabaseSettings
from ticketflow.delivery import Outbox, Parking, PostgresDialect
from ticketflow.delivery.parking_commands import main as commands
from ticketflow.delivery.parking_shelf import Shelf
from ticketflow.runtime import log
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("reservation", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[Shelf]:
    settings = load(DatabaseSettings, "RESERVATION")
    log.configure("reservation", settings.instance, "error")  # people read this, and are told what matters
    pool = PostgresPool(settings.database_dsn, name="parked", size_max=2)
    dialect = PostgresDialect()
    outbox: Outbox[Connection] = Outbox(dialect, STREAM_OUT)
    await pool.open()
    try:
        yield Parking(pool, dialect, stream=STREAM_IN, handlers=handlers(pool, outbox), outboxes=[STREAM_OUT])
    finally:
        await pool.close()
