"""``python -m billing stream ...``: forks, phantoms and holes of its streams."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from billing.command_pool import command_pool
from ticketflow.delivery import MariaDBDialect
from ticketflow.delivery.history import StreamHistory
from ticketflow.delivery.stream_commands import main as commands
from ticketflow.runtime.mariadb import Connection


def main(arguments: Sequence[str]) -> int:
    return commands("billing", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[StreamHistory[Connection]]:
    async with command_pool() as pool:
        yield StreamHistory(pool, MariaDBDialect())
