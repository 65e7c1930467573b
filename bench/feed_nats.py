"""NATS's side: nats-py, and a receiver that acknowledges what it has got, as far as it has got, as our ACK does.

That is the fastest way to have every message acknowledged by who received it: a request and a reply for each would be
several times as slow, and a flush only says that the server has it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.feed_events import Counted
from bench.nats_window import Windowed

SUBJECT, ACKS = "bench.events", "bench.acks"


class _Receiving:
    port = 0

    def __init__(self, client: Client) -> None:
        self.counted = Counted()
        self._client = client
        self._due = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, message: Msg) -> None:
        self.counted.one(message.data)
        if not self._due:  # once for all messages of this turn of the loop
            self._due = True
            task = asyncio.create_task(self._ack())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ack(self) -> None:
        self._due = False
        await self._client.publish(ACKS, b"%d" % self.counted.last_seq)

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        return {"last_seq": self.counted.last_seq}


class _Sending(Windowed):
    def __init__(self, client: Client) -> None:
        super().__init__(client, SUBJECT)

    async def take(self, message: Msg) -> None:
        self.acknowledged(int(message.data))


@asynccontextmanager
async def receiver(options: dict[str, Any]) -> AsyncIterator[_Receiving]:
    """``url``: the server's."""
    client = await nats.connect(options["url"], skip_subject_validation=True)
    receiving = _Receiving(client)
    await client.subscribe(SUBJECT, cb=receiving.take, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await client.flush()
    try:
        yield receiving
    finally:
        await client.close()


@asynccontextmanager
async def sender(options: dict[str, Any]) -> AsyncIterator[_Sending]:
    """``url``: the server's."""
    client = await nats.connect(options["url"], skip_subject_validation=True)
    sending = _Sending(client)
    await client.subscribe(ACKS, cb=sending.take)
    await client.flush()
    try:
        yield sending
    finally:
        await client.close()
