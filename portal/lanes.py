"""``python -m portal lanes ...``: into how many lanes its stream is split."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from portal.service import STREAM_OUT
from portal.settings import DatabaseSettings
from ticketflow.delivery import LaneChange, PostgresDialect
from ticketflow.delivery.lanes_command import main as commands
from ticketflow.runtime import log
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("portal", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[LaneChange[Connection]]:
    settings = load(DatabaseSettings, "PORTAL")
    log.configure("portal", settings.instance, "error")  # people read this, and are told what matters
    pool = PostgresPool(settings.database_dsn, name="lanes", size_max=1)
    await pool.open()
    try:
        yield LaneChange(pool, PostgresDialect(), STREAM_OUT)
    finally:
        await pool.close()
