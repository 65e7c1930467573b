"""``python -m portal lanes ...``: into how many lanes its stream is split."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from portal.command_pool import command_pool
from portal.service import STREAM_OUT
from ticketflow.delivery import LaneChange, PostgresDialect
from ticketflow.delivery.lanes_command import main as commands
from ticketflow.runtime.postgres import Connection


def main(arguments: Sequence[str]) -> int:
    return commands("portal", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[LaneChange[Connection]]:
    async with command_pool("lanes") as pool:
        yield LaneChange(pool, PostgresDialect(), STREAM_OUT)
