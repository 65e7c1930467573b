"""JetStream's side: publish into a stream with file storage, acknowledged message by message by the server itself.

Its own `publish_async` costs three times what the messages cost. So we publish as the protocol has it, with a reply
subject, and count the acknowledgements that come there, each of which has the message's place in the stream.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.feed_events import event

WINDOW_EVENTS = 1024
STREAM, SUBJECT, ACKS = "BENCH", "bench.kept", "bench.kept_acks"


class _PubAck(msgspec.Struct):
    """What JetStream answers; a refusal has no ``seq``, and does not pass."""

    stream: str
    seq: int


_decode = msgspec.json.Decoder(_PubAck).decode


class _Sending:
    port = 0

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last_seq = 0
        self._acked = 0
        self._changed = asyncio.Event()

    async def take(self, message: Msg) -> None:
        self._acked += 1
        assert _decode(message.data).seq == self._acked, "a message was lost, or stored twice"
        self._changed.set()

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        before, began = self._last_seq, time.perf_counter()
        publish = self._client.publish
        while time.perf_counter() - began < seconds:
            room = WINDOW_EVENTS - (self._last_seq - self._acked)
            for seq in range(self._last_seq + 1, self._last_seq + 1 + room):
                await publish(SUBJECT, event(seq), reply=ACKS)
            self._last_seq += room
            await self._some_ack()
        while self._acked < self._last_seq:
            await self._some_ack()
        took = time.perf_counter() - began
        return {"events": self._last_seq - before, "seconds": took, "last_seq": self._last_seq}

    async def _some_ack(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@asynccontextmanager
async def sender(options: dict[str, Any]) -> AsyncIterator[_Sending]:
    """``url``: the server's."""
    client = await nats.connect(options["url"], skip_subject_validation=True)
    await client.jetstream().add_stream(name=STREAM, subjects=[SUBJECT], storage="file", max_msgs=100_000)
    sending = _Sending(client)
    await client.subscribe(ACKS, cb=sending.take)
    await client.flush()
    try:
        yield sending
    finally:
        await client.close()
