"""RabbitMQ: one connection with one channel that declares a topology, publishes with confirms and consumes.

Laws of this module and of ``amqp_session``:
- A session never repairs itself. When anything about it fails it is *lost*, and the user opens another: delivery tags
  and publishes in flight belong to one channel, and whoever swaps the channel underneath hides which of them it lost.
- Everything has a deadline. Heartbeats every 5 s find a dead peer that nobody talks to; deadlines find it sooner.
- Errors leave as ``Unavailable`` (it did not happen) or ``Indefinite`` (it may have happened).
- Any node will do, and the one that has just failed us will not: after a lost session or a failed attempt the next
  address is tried, without waiting for a node that does not answer to say goodbye.
- An `amqps` address is never dialled without ``NodeTls``, which knows whom we may talk to.
- The connection is our own (``amqp_connection``), for a library's makes a task of every message: decision 31.
"""

import asyncio
from collections import deque
from contextlib import suppress

from ticketflow.events.topology import Topology
from ticketflow.runtime.amqp_connection import Connection
from ticketflow.runtime.amqp_handshake import with_defaults
from ticketflow.runtime.amqp_message import Delivery, Headers, Outgoing, Published, QueueFacts
from ticketflow.runtime.amqp_session import CLOSE_TIMEOUT_S, Session, unavailable
from ticketflow.runtime.amqp_tls import NodeTls
from ticketflow.runtime.errors import RuntimeFault, Unavailable

__all__ = ["Broker", "Delivery", "Headers", "Outgoing", "Published", "QueueFacts", "Session"]

# A node that runs opens a session in 20 ms, in 0.4 s on a machine with ten times more work than cores. The address of a
# container that is gone answers nothing at all; should it be the next one, the one after it is tried 2 s later.
CONNECT_TIMEOUT_S = 2.0


class Broker:
    """Opens sessions at one of several nodes, and keeps the newest. ``url``: AMQP URLs, comma-separated.

    ``tls``: how to reach those that are `amqps`. Raises ValueError when there is one and no ``tls``.
    """

    def __init__(self, url: str, topology: Topology, *, name: str, tls: NodeTls | None = None) -> None:
        self._urls = deque(with_defaults(each.strip(), name) for each in url.split(","))
        if tls is None and any(each.scheme == "amqps" for each in self._urls):
            raise ValueError("an amqps URL, and no certificates for it")
        self._tls = tls
        self._topology = topology
        self._session: Session | None = None
        self._opening = asyncio.Lock()

    async def session(self) -> Session:
        """The live session, or a new one with the topology declared. Raises Unavailable after one attempt."""
        async with self._opening:
            if self._session is not None and self._session.lost is None:
                return self._session
            await self._drop()
            try:
                self._session = await self._open()
            except RuntimeFault:
                self._next_node()
                raise
            return self._session

    async def declare(self) -> None:
        """Declares the topology once more, in the live session. Raises Unavailable."""
        await (await self.session()).declare(self._topology)

    async def close(self) -> None:
        """Closes the session; what was not acknowledged in it is delivered again."""
        await self._drop()

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            if session.node_failed:
                self._next_node()
            await session.close()

    def _next_node(self) -> None:
        self._urls.rotate(-1)

    async def _open(self) -> Session:
        url = self._urls[0]
        tls = self._tls if url.scheme == "amqps" else None
        connection = Connection(url)
        try:
            with unavailable("connecting"):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await connection.open(tls)
                    session = await Session.opened(connection)
            await session.declare(self._topology)
        except BaseException as error:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await connection.close()
            if tls is not None and not connection.greeted and isinstance(error, Unavailable):
                raise (tls.failure(url, error) or error) from error.__cause__
            raise
        return session
