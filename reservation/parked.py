"""``python -m reservation parked ...``: what the feed from portal could not apply."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from reservation.command_pool import command_pool
from reservation.service import STREAM_IN, STREAM_OUT, handlers
from ticketflow.delivery import Outbox, Parking, PostgresDialect
from ticketflow.delivery.parking_commands import main as commands
from ticketflow.delivery.parking_shelf import Shelf
from ticketflow.runtime.postgres import Connection


def main(arguments: Sequence[str]) -> int:
    return commands("reservation", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[Shelf]:
    dialect = PostgresDialect()
    outbox: Outbox[Connection] = Outbox(dialect, STREAM_OUT)
    async with command_pool("parked", size_max=2) as pool:
        yield Parking(pool, dialect, stream=STREAM_IN, handlers=handlers(outbox), outboxes=[STREAM_OUT])
