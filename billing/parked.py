"""``python -m billing parked ...``: what the feed from reservation could not apply."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from billing.command_pool import command_pool
from billing.orders.changes import Changes
from billing.orders.handlers import handlers
from billing.service import IN_STREAM, OUT_STREAM
from ticketflow.delivery import MariaDBDialect, Outbox, Parking
from ticketflow.delivery.parking_commands import main as commands
from ticketflow.delivery.parking_shelf import Shelf
from ticketflow.runtime.mariadb import Connection


def main(arguments: Sequence[str]) -> int:
    return commands("billing", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[Shelf]:
    dialect = MariaDBDialect()
    outbox: Outbox[Connection] = Outbox(dialect, OUT_STREAM)
    async with command_pool(size_max=2) as pool:
        yield Parking(pool, dialect, stream=IN_STREAM, handlers=handlers(Changes(outbox)), outboxes=[OUT_STREAM])
