"""A sender over NATS that keeps a window of unacknowledged messages full; who acknowledges, and how, is for others."""

import asyncio
import time
from typing import Any

from nats.aio.client import Client

from bench.feed_events import event

WINDOW_EVENTS = 1024


class Windowed:
    """``reply``: where the server answers to each message, if it does. Whoever hears of acks calls ``acknowledged``."""

    port = 0

    def __init__(self, client: Client, subject: str, reply: str = "") -> None:
        self._client = client
        self._subject = subject
        self._reply = reply
        self._last_seq = 0
        self.acked = 0
        self._changed = asyncio.Event()

    def acknowledged(self, seq: int) -> None:
        self.acked = seq
        self._changed.set()

    async def measure(self, seconds: float, per_second: int) -> dict[str, Any]:
        before, began = self._last_seq, time.perf_counter()
        publish, subject, reply = self._client.publish, self._subject, self._reply
        while time.perf_counter() - began < seconds:
            room = WINDOW_EVENTS - (self._last_seq - self.acked)
            for seq in range(self._last_seq + 1, self._last_seq + 1 + room):
                await publish(subject, event(seq), reply=reply)
            self._last_seq += room
            await self._some_ack()
        while self.acked < self._last_seq:
            await self._some_ack()
        took = time.perf_counter() - began
        return {"events": self._last_seq - before, "seconds": took, "last_seq": self._last_seq}

    async def _some_ack(self) -> None:
        self._changed.clear()
        await self._changed.wait()
