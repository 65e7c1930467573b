"""The floor of the paced goals: two processes that do nothing but write an event and a number back, by bare Protocols.

No frames, no window, no session: what is left is two processes that wake each other, which no feed can do without.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from bench.feed_events import EVENT_BYTES, event
from bench.feed_pace import Pace

ACK_BYTES = 8


class _Receiving(asyncio.Protocol):
    """Answers each piece that ends an event with how many came."""

    def __init__(self, node: "_Counting") -> None:
        self._node = node

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._node.came += len(data)
        self._transport.write((self._node.came // EVENT_BYTES).to_bytes(ACK_BYTES, "big"))


class _Counting:
    def __init__(self) -> None:
        self.port = 0
        self.came = 0  # bytes

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        return {"last_seq": self.came // EVENT_BYTES}


class _Sending(asyncio.Protocol):
    port = 0

    def __init__(self) -> None:
        self._pace: Pace | None = None
        self._last_seq = 0
        self._acks = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        acks = self._acks + data
        whole = len(acks) - len(acks) % ACK_BYTES
        self._acks = acks[whole:]
        if whole and self._pace is not None:
            self._pace.acked(int.from_bytes(acks[whole - ACK_BYTES : whole], "big"))

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        pace = self._pace = Pace(self._last_seq)

        async def send(seq: int) -> None:
            self.transport.write(event(seq))

        result = await pace.run(send, seconds, per_second)
        self._last_seq = pace.last_seq
        return result


@asynccontextmanager
async def receiver(_options: dict[str, Any]) -> AsyncIterator[_Counting]:
    node = _Counting()
    server = await asyncio.get_running_loop().create_server(lambda: _Receiving(node), "127.0.0.1", 0)
    async with server:
        node.port = server.sockets[0].getsockname()[1]
        yield node


@asynccontextmanager
async def sender(options: dict[str, Any]) -> AsyncIterator[_Sending]:
    """``port``: the receiver's."""
    _, node = await asyncio.get_running_loop().create_connection(_Sending, "127.0.0.1", options["port"])
    try:
        yield node
    finally:
        node.transport.close()
