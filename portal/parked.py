"""``python -m portal parked ...``: what the queue brought and the portal could not apply."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from portal.applier import Applier
from portal.parking import PortalParking
from portal.service import STREAM_IN, STREAM_OUT
from portal.settings import DatabaseSettings
from ticketflow.delivery import Deduplicator, Outbox, PostgresDialect
from ticketflow.delivery.parking_commands import main as commands
from ticketflow.delivery.parking_shelf import Shelf
from ticketflow.runtime import log
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("portal", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[Shelf]:
    settings = load(DatabaseSettings, "PORTAL")
    log.configure("portal", settings.instance, "error")  # people read this, and are told what matters
    pool = PostgresPool(settings.database_dsn, name="parked", size_max=2)
    dialect = PostgresDialect()
    outbox: Outbox[Connection] = Outbox(dialect, STREAM_OUT)
    deduplicator: Deduplicator[Connection] = Deduplicator(dialect, STREAM_IN)
    await pool.open()
    try:
        yield PortalParking(pool, dialect, Applier(pool, deduplicator, outbox), deduplicator, STREAM_OUT)
    finally:
        await pool.close()
