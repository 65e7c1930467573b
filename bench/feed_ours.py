"""Our side: the client that relays use, and a FeedServer whose receiver counts and verifies."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bench.feed_events import Counted, event, events
from bench.feed_pace import Pace
from ticketflow.feed import (
    VERSION,
    Address,
    FeedServer,
    Hello,
    Limits,
    Peer,
    Position,
    SenderSession,
    client_context,
    connect,
    server_context,
)

WINDOW_EVENTS = 1024
ROWS = 256  # what a relay reads of its outbox at a time, and hands over in one call
ACK_TIMEOUT_S = 20.0


class _Receiver:
    """Takes one stream, from its first event on."""

    def __init__(self) -> None:
        self.counted = Counted()

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return Position(hello.epoch, self.counted.last_seq)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        assert first_seq == self.counted.last_seq + 1, f"{first_seq} came after {self.counted.last_seq}"
        self.counted.many(bodies)
        return self.counted.last_seq


class _Receiving:
    def __init__(self, receiver: _Receiver, port: int) -> None:
        self.port = port
        self._receiver = receiver

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        return {"last_seq": self._receiver.counted.last_seq}


class _Sending:
    port = 0

    def __init__(self, session: SenderSession) -> None:
        self._session = session
        self._last_seq = 0

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        return await (self._paced(seconds, per_second) if per_second else self._at_full_speed(seconds))

    async def _at_full_speed(self, seconds: float) -> dict[str, Any]:
        session, before = self._session, self._last_seq
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            await session.send(self._last_seq + 1, events(self._last_seq + 1, ROWS))
            self._last_seq += ROWS
        while session.acked != self._last_seq:
            await session.wait_ack(ACK_TIMEOUT_S)
        took = time.perf_counter() - began
        return {"events": self._last_seq - before, "seconds": took, "last_seq": self._last_seq}

    async def _paced(self, seconds: float, per_second: int) -> dict[str, Any]:
        session, pace = self._session, Pace(self._last_seq)

        async def read_acks() -> None:
            while True:
                acked = await session.wait_ack(ACK_TIMEOUT_S)
                assert acked is not None, "nothing was acknowledged"
                pace.acked(acked)

        reading = asyncio.create_task(read_acks())
        result = await pace.run(lambda seq: session.send(seq, [event(seq)]), seconds, per_second)
        reading.cancel()
        self._last_seq = pace.last_seq
        return result


@asynccontextmanager
async def receiver(options: dict[str, Any]) -> AsyncIterator[_Receiving]:
    """``tls``: paths of certificate, key and CA; none without."""
    applying, tls = _Receiver(), options.get("tls")
    server = FeedServer(
        applying,
        host="127.0.0.1",
        port=0,
        limits=Limits(window_events=WINDOW_EVENTS),
        ssl=server_context(*tls) if tls else None,
    )
    await server.start()
    try:
        yield _Receiving(applying, server.port)
    finally:
        await server.drain(1.0)


@asynccontextmanager
async def sender(options: dict[str, Any]) -> AsyncIterator[_Sending]:
    """``port``: the receiver's."""
    tls = options.get("tls")
    hello = Hello(VERSION, "bench", 1, 1, 0, "bench")
    address = Address("localhost" if tls else "127.0.0.1", options["port"])
    session = await connect([address], hello, ssl=client_context(*tls) if tls else None)
    try:
        yield _Sending(session)
    finally:
        await session.close()
