"""Both ends over a real feed on loopback, that can be stopped, crashed and started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.contract.receiving import STREAM, inbox
from tests.contract.stores import Store
from tests.support.ports import free_port
from ticketflow.delivery import Handler, Relay
from ticketflow.feed import Address, FeedServer, Limits, SenderSession, connect
from ticketflow.runtime.errors import Indefinite, Unavailable

LEASE_TTL_S = 1.0
QUICK = Limits(ping_interval_s=0.5, idle_timeout_s=1.5, frame_timeout_s=1.0, linger_s=0.1, unavailable_retry_s=0.05)


class Delivery:
    """One relay over ``sending`` and one inbox over ``receiving``; each is up or down."""

    def __init__(self, sending: Store, receiving: Store, handler: Handler[Any] | None = None) -> None:
        self.sending = sending
        self.receiving = receiving
        self.handler = handler
        self.port = free_port()
        self.relay: Relay[Any] | None = None
        self.sessions: list[SenderSession] = []
        self._server: FeedServer | None = None
        self._task: asyncio.Task[Any] | None = None
        self._starts = 0

    # -- the receiving end

    async def start_receiver(self) -> None:
        receiver = inbox(self.receiving, self.handler, patience_s=2)
        expected = (OSError, TimeoutError, Unavailable, Indefinite)
        self._server = FeedServer(receiver, host="127.0.0.1", port=self.port, limits=QUICK, expected_errors=expected)
        await self._server.start()

    def renew(self, stream: str) -> None:
        if self._server is not None:
            self._server.renew(stream)

    async def stop_receiver(self, deadline_s: float = 2) -> None:
        if self._server is not None:
            await self._server.drain(deadline_s)
            self._server = None

    async def crash_receiver(self) -> None:
        """Connections cut, applies in progress gone with their database connections."""
        await self.receiving.kill_connections()
        await self.stop_receiver(0)

    # -- the sending end

    def start_sender(self, owner: str | None = None) -> Relay[Any]:
        self._starts += 1
        self.relay = Relay(
            self.sending.pool,
            self.sending.dialect,
            stream=STREAM,
            addresses=[Address("127.0.0.1", self.port)],
            owner=owner or f"relay-{self._starts}",
            limits=QUICK,
            lease_ttl_s=LEASE_TTL_S,
            connect=self._connect,
        )
        self._task = asyncio.create_task(self.relay.run())
        return self.relay

    async def stop_sender(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def crash_sender(self) -> None:
        """Sessions cut, database connections gone, the lease not let go."""
        for session in self.sessions:
            session.abort()
        await self.sending.kill_connections()
        await self.stop_sender()

    async def position(self) -> tuple[int, int]:
        """(watermark, acked_seq)"""
        received = await self.receiving.rows("SELECT watermark FROM delivery_inbox_stream WHERE stream = %s", STREAM)
        acked = await self.sending.rows("SELECT acked_seq FROM delivery_stream WHERE stream = %s", STREAM)
        return (received[0][0] if received else 0, acked[0][0] if acked else 0)

    async def delivered(self, count: int) -> bool:
        """Whether ``count`` events are applied and known to be."""
        return await self.position() == (count, count)

    async def _connect(self, *arguments: Any, **settings: Any) -> SenderSession:
        session = await connect(*arguments, **settings)
        self.sessions = [session]
        return session


@asynccontextmanager
async def delivery(ends: tuple[Store, Store], handler: Handler[Any] | None = None) -> AsyncIterator[Delivery]:
    """Both ends up."""
    both = Delivery(*ends, handler)
    await both.start_receiver()
    both.start_sender()
    try:
        yield both
    finally:
        await both.stop_sender()
        await both.stop_receiver()
