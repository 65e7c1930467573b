"""``python -m portal parked ...``: what the queue brought and the portal could not apply."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from portal.applier import Applier
from portal.command_pool import command_pool
from portal.mailing import Mailing
from portal.parking import PortalParking
from portal.service import STREAM_IN, STREAM_OUT
from portal.settings import DatabaseSettings
from ticketflow.delivery import Deduplicator, Outbox, PostgresDialect
from ticketflow.delivery.parking_commands import main as commands
from ticketflow.delivery.parking_shelf import Shelf
from ticketflow.runtime.postgres import Connection
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("portal", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[Shelf]:
    dialect = PostgresDialect()
    outbox: Outbox[Connection] = Outbox(dialect, STREAM_OUT)
    deduplicator: Deduplicator[Connection] = Deduplicator(dialect, STREAM_IN)
    async with command_pool("parked", size_max=2) as pool:
        mailing = Mailing() if load(DatabaseSettings, "PORTAL").smtp_url is not None else None
        applier = Applier(pool, STREAM_IN, outbox, mailing=mailing)
        yield PortalParking(pool, dialect, applier, deduplicator, STREAM_OUT)
