"""Stands in for the feed's Listener: connections come from the simulated network instead of a socket."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import current_process
from tests.simulation.network import Network
from ticketflow import feed
from ticketflow.feed import FeedServer, SenderSession


class SimulatedListener:
    def __init__(self, network: Network, admit: Callable[[str], asyncio.Protocol | None]) -> None:
        self.port: int | None = None
        self._network = network
        self._admit = admit
        self._address: tuple[str, int] | None = None

    async def start(self, host: str, port: int) -> None:
        self.port = port
        self._address = (host, port)
        self._network.listening[self._address] = (current_process(), self._admit)

    async def stop(self) -> None:
        if self._address is not None:
            self._network.listening.pop(self._address, None)


class Ordered(dict[Any, None]):
    """A set whose order is that of insertion, where the product's own goes by addresses in memory."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)


def put_on(network: Network, server: FeedServer) -> None:
    """Have ``server`` listen on ``network``."""
    server._listener = SimulatedListener(network, server._admit)  # type: ignore[assignment]
    server._sessions, server._tasks = Ordered(), Ordered()  # type: ignore[assignment]


async def connect(*args: Any, **settings: Any) -> SenderSession:
    """The feed's own ``connect``."""
    session = await feed.connect(*args, **settings)
    session._waiters = Ordered()  # type: ignore[assignment]
    return session
