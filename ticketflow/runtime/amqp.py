"""RabbitMQ: one connection with one channel that declares a topology, publishes with confirms and consumes.

Laws of this module and of ``amqp_session``:
- A session never repairs itself. When anything about it fails it is *lost*, and the user opens another: delivery tags
  and publishes in flight belong to one channel, and a library that swaps the channel underneath hides which of them it
  lost. (So ``connect_robust`` is not used: it waits without end for a reconnect, aio-pika#636, and restores in loops.)
- Everything has a deadline. Heartbeats every 5 s find a dead peer that nobody talks to; deadlines find it sooner.
- Errors leave as ``Unavailable`` (it did not happen) or ``Indefinite`` (it may have happened).
- Any node will do, and the one that has just failed us will not: after a lost session or a failed attempt the next
  address is tried, without waiting for a node that does not answer to say goodbye.
- An `amqps` address is never dialled without ``NodeTls``: the library would trust any CA of the machine's.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.channel import Channel as RawChannel
from yarl import URL

from ticketflow.events.topology import Topology
from ticketflow.runtime.amqp_message import Delivery, Headers, Outgoing, Published, QueueFacts
from ticketflow.runtime.amqp_session import CLOSE_TIMEOUT_S, Session, unavailable
from ticketflow.runtime.amqp_tls import NodeTls
from ticketflow.runtime.errors import RuntimeFault, Unavailable

__all__ = ["Broker", "Delivery", "Headers", "Outgoing", "Published", "QueueFacts", "Session"]

HEARTBEAT_S = 5
# A node that runs opens a session in 20 ms, in 0.4 s on a machine with ten times more work than cores. The address of a
# container that is gone answers nothing at all; should it be the next one, the one after it is tried 2 s later.
CONNECT_TIMEOUT_S = 2.0

for _noisy in ("aiormq", "aio_pika"):  # they log each failure that we raise, every second, with a traceback
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)


class Broker:
    """Opens sessions at one of several nodes, and keeps the newest. ``url``: AMQP URLs, comma-separated.

    ``tls``: how to reach those that are `amqps`. Raises ValueError when there is one and no ``tls``.
    """

    def __init__(self, url: str, topology: Topology, *, name: str, tls: NodeTls | None = None) -> None:
        self._urls = deque(_with_defaults(each.strip(), name) for each in url.split(","))
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
        connection = aio_pika.Connection(url)
        if tls is not None:
            connection.kwargs["transport_factory"] = tls  # for aiormq; aio-pika hands on what is here
        try:
            with unavailable("connecting"):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await connection.connect()
                    channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                    await channel.initialize()
                    raw = await channel.get_underlay_channel()
                    assert isinstance(raw, RawChannel)
                    session = Session(connection, channel, raw)
            await session.declare(self._topology)
        except BaseException as error:
            greeted = connection.transport is not None
            with suppress(TimeoutError, *CONNECTION_EXCEPTIONS):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await connection.close()  # also one that never connected: else its finalizer tries to
            if tls is not None and not greeted and isinstance(error, Unavailable):
                raise (tls.failure(url, error) or error) from error.__cause__
            raise
        return session


def _with_defaults(url: str, name: str) -> URL:
    parsed = URL(url)
    return parsed.update_query({"heartbeat": str(HEARTBEAT_S), "name": name} | dict(parsed.query))
