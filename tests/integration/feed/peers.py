"""Both ends for tests: a receiver that records, a server that must leave nothing behind, and raw peers."""

import asyncio
import ssl as ssl_module
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgpack

from ticketflow.feed import Address, FeedServer, Hello, Limits, Peer, Position

QUICK = Limits(
    ping_interval_s=0.1,
    idle_timeout_s=0.5,
    frame_timeout_s=0.3,
    hello_timeout_s=0.25,
    decide_timeout_s=0.5,
    welcome_timeout_s=1.0,
    unavailable_retry_s=0.05,
    linger_s=0.3,
)


def hello(stream: str = "reservation", *, last_seq: int = 1_000_000, sender: str = "relay-1") -> Hello:
    return Hello(1, stream, 1, 1, last_seq, sender)


class Recorder:
    """Applies events to memory. Clear ``open`` to make `apply` wait; set ``fault`` to make the next call raise."""

    def __init__(self, watermark: int | None = 0) -> None:
        self.watermark = watermark
        self.events: dict[int, bytes] = {}
        self.batches: list[int] = []
        self.peers: list[Peer] = []
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0
        self.fault: BaseException | None = None
        self.hello_fault: BaseException | None = None
        self.hello_open = asyncio.Event()
        self.hello_open.set()

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        self.peers.append(peer)
        await self.hello_open.wait()
        if self.hello_fault is not None:
            raise self.hello_fault
        return Position(hello.epoch, self.watermark)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        self.waiting += 1
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        self.batches.append(len(bodies))
        self.events |= {first_seq + index: body for index, body in enumerate(bodies)}
        self.watermark = first_seq + len(bodies) - 1
        return self.watermark


@asynccontextmanager
async def serving(receiver: Recorder, limits: Limits = QUICK, **more: Any) -> AsyncIterator[FeedServer]:
    """A FeedServer on a free port; at the end it is drained, and nothing of it may be left."""
    before = asyncio.all_tasks()
    server = FeedServer(receiver, host="127.0.0.1", port=0, limits=limits, name="billing-1", **more)
    await server.start()
    try:
        yield server
    finally:
        receiver.open.set()
        receiver.hello_open.set()
        await server.drain(2)
    left = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
    assert not left, left


def at(server: FeedServer) -> list[Address]:
    return [Address("127.0.0.1", server.port)]


class Stranger:
    """A peer of nothing but a stream and msgpack."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *message: Any) -> None:
        body = msgpack.packb(message)
        self.writer.write(len(body).to_bytes(4, "big") + body)

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> list[Any]:
        """The next message but PING and PONG; PING is answered. ConnectionError when there is none."""
        while True:
            try:
                head = await self.reader.readexactly(4)
                message: list[Any] = msgpack.unpackb(await self.reader.readexactly(int.from_bytes(head, "big")))
            except asyncio.IncompleteReadError as error:
                raise ConnectionError("closed") from error
            if message[0] == "ping":
                self.say("pong", message[1])
            elif message[0] != "pong":
                return message

    async def greet(self, stream: str = "reservation") -> list[Any]:
        self.say("hello", 1, stream, 1, 1, 1000, "stranger")
        return await self.hear()

    async def refused(self) -> str:
        """The code of the REFUSE that comes, after which the connection is closed."""
        message = await self.hear()
        assert message[0] == "refuse", message
        assert await self.reader.read() == b""
        return str(message[1])


@asynccontextmanager
async def stranger(port: int, ssl: ssl_module.SSLContext | None = None) -> AsyncIterator[Stranger]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ssl)
    try:
        async with asyncio.timeout(10):
            yield Stranger(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[list[Address]]:
    """A listener of another make; ``handle`` serves a connection, which is then closed."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield [Address("127.0.0.1", server.sockets[0].getsockname()[1])]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)
