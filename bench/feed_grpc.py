"""gRPC's side: a bidirectional stream of grpc.aio, every message acknowledged by one.

Written as its documentation has it, with generic handlers: bodies are bytes, so that nothing is spent on protobuf. Many
events in a message are a msgpack array, which is faster to read and write than protobuf's.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import msgspec

from bench.feed_events import Counted, event, events
from bench.feed_pace import Pace

WINDOW_EVENTS = 1024
METHOD = "/bench.Feed/Stream"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


class _Receiving:
    def __init__(self, many: bool) -> None:
        self.port = 0
        self.counted = Counted()
        self._many = many

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        counted = self.counted
        async for message in requests:
            if self._many:
                counted.many(_decode(message))
            else:
                counted.one(message)
            yield b"%d" % counted.last_seq

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        return {"last_seq": self.counted.last_seq}


class _Sending:
    port = 0

    def __init__(self, call: Any, events_a_message: int) -> None:
        self._call = call
        self._size = events_a_message
        self._last_seq = 0
        self._acked = 0
        self._pace: Pace | None = None
        self._changed = asyncio.Event()

    async def read_acks(self) -> None:
        while True:
            self._acked = int(await self._call.read())
            self._changed.set()
            if self._pace is not None:
                self._pace.acked(self._acked)

    async def _send(self, seq: int) -> None:
        await self._call.write(_encode(events(seq, self._size)) if self._size > 1 else event(seq))

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        if per_second:
            self._pace = Pace(self._last_seq)
            result = await self._pace.run(self._send, seconds, per_second)
            self._last_seq = self._pace.last_seq
            self._pace = None
            return result
        before, began = self._last_seq, time.perf_counter()
        while time.perf_counter() - began < seconds:
            if self._last_seq - self._acked + self._size > WINDOW_EVENTS:
                self._changed.clear()
                await self._changed.wait()
                continue
            await self._send(self._last_seq + 1)
            self._last_seq += self._size
        while self._acked < self._last_seq:
            self._changed.clear()
            await self._changed.wait()
        took = time.perf_counter() - began
        return {"events": self._last_seq - before, "seconds": took, "last_seq": self._last_seq}


@asynccontextmanager
async def receiver(options: dict[str, Any]) -> AsyncIterator[_Receiving]:
    receiving = _Receiving(options["size"] > 1)
    handler = grpc.stream_stream_rpc_method_handler(receiving.stream)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Feed", {"Stream": handler}),))
    receiving.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield receiving
    finally:
        await server.stop(None)


@asynccontextmanager
async def sender(options: dict[str, Any]) -> AsyncIterator[_Sending]:
    """``port``: the receiver's; ``size``: events a message."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{options['port']}") as channel:
        call = channel.stream_stream(METHOD)()
        sending = _Sending(call, options["size"])
        reading = asyncio.create_task(sending.read_acks())
        try:
            yield sending
        finally:
            reading.cancel()
            call.cancel()
