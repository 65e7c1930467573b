"""``python -m billing lanes ...``: into how many lanes its stream is split."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from billing.command_pool import command_pool
from billing.service import OUT_STREAM
from ticketflow.delivery import LaneChange, MariaDBDialect
from ticketflow.delivery.lanes_command import main as commands
from ticketflow.runtime.mariadb import Connection


def main(arguments: Sequence[str]) -> int:
    return commands("billing", arguments, _opened)


@asynccontextmanager
async def _opened() -> AsyncIterator[LaneChange[Connection]]:
    async with command_pool() as pool:
        yield LaneChange(pool, MariaDBDialect(), OUT_STREAM)
