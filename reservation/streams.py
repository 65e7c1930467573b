"""``python -m reservation stream ...``: forks, phantoms and holes of its streams."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from reservation.command_pool import command_pool
from ticketflow.delivery import PostgresDialect
from ticketflow.delivery.history import StreamHistory
from ticketflow.delivery.stream_commands import main as commands
from ticketflow.runtime.postgres import Connection


def main(arguments: Sequence[str]) -> int:
    return commands("reservation", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[StreamHistory[Connection]]:
    async with command_pool("stream") as pool:
        yield StreamHistory(pool, PostgresDialect())
