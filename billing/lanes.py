"""``python -m billing lanes ...``: into how many lanes its stream is split."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from billing.service import OUT_STREAM, database
from billing.settings import DatabaseSettings
from ticketflow.delivery import LaneChange, MariaDBDialect
from ticketflow.delivery.lanes_command import main as commands
from ticketflow.runtime import log
from ticketflow.runtime.mariadb import Connection
from ticketflow.runtime.settings import load


def main(arguments: Sequence[str]) -> int:
    return commands("billing", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[LaneChange[Connection]]:
    settings = load(DatabaseSettings, "BILLING")
    log.configure("billing", settings.instance, "error")  # people read this, and are told what matters
    pool = database(settings, size_max=1)
    await pool.open()
    try:
        yield LaneChange(pool, MariaDBDialect(), OUT_STREAM)
    finally:
        await pool.close()
