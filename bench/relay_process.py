"""A replica of its own that relays one stream: ``python -m bench.relay_process``, told on stdin, until stdin ends."""

import asyncio
import sys
from contextlib import nullcontext
from typing import Any

import msgspec

from bench import process
from bench.relay_store import Where, opened
from ticketflow.delivery import Relays, polling
from ticketflow.feed import Address


class Told(msgspec.Struct, kw_only=True):
    """``poll_s``: how often it looks, and hears nothing; None: as the product does. ``bell``: where it can be rung."""

    where: Where
    stream: str
    receiver: int
    bell: int
    poll_s: float | None = None


async def main() -> None:
    told = msgspec.json.decode(sys.stdin.readline(), type=Told)
    async with opened(told.where, bell=None if told.poll_s else told.bell) as (pool, dialect):
        if told.poll_s is not None:
            _only_polls(dialect, told.poll_s)
        relays: Relays[Any] = Relays(
            pool, dialect, stream=told.stream, addresses=[Address("127.0.0.1", told.receiver)], owner="the relay"
        )
        running = asyncio.create_task(relays.run())
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _only_polls(dialect: Any, every_s: float) -> None:
    """A relay like ours in everything but this: nobody tells it, and it looks at a fixed rate."""
    dialect.listening = lambda *_: nullcontext()  # which is an asynchronous context too
    polling.FIRST_S = polling.UNTOLD_S = polling.TOLD_S = every_s


if __name__ == "__main__":
    process.run(main())
