"""One process of a bench of the feed: `python -m bench.feed_node ROLE OPTIONS`, told what to do line by line.

It says `{"port": ...}` when it is ready, then answers each order on stdin (a line of JSON) with one on stdout, and ends
with stdin. Sender and receiver are processes of their own on both sides of a comparison, on uvloop as in production.
"""

import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from bench import process
from ticketflow.runtime import log

ORDER_TIMEOUT_S = 60.0  # an order that takes longer hangs


class Node(Protocol):
    """One end, ready. ``port``: where a receiver listens; 0 for a sender."""

    port: int

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        """A sender: send for so long, as fast as it goes (0) or paced, until all is acknowledged. A receiver: how much
        has come by now."""


Role = Callable[[dict[str, Any]], AbstractAsyncContextManager[Node]]


def role(name: str) -> Role:
    """`feed_grpc.each_sender`: that function of that file. Only the file that is needed is imported."""
    file, function = name.split(".")
    found: Role = getattr(importlib.import_module(f"bench.{file}"), function)
    return found


async def main(name: str, options: dict[str, Any]) -> None:
    log.configure("bench", name, "warning")
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with role(name)(options) as node:
        _say({"port": node.port})
        while line := await orders.readline():
            async with asyncio.timeout(ORDER_TIMEOUT_S):
                _say(await node.measure(**json.loads(line)))


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    process.run(main(sys.argv[1], json.loads(sys.argv[2])))
