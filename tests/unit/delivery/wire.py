"""A feed without bytes: sessions that delay, cut, and lose acks, as a seed decides."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from ticketflow.delivery import Inbox
from ticketflow.feed import ConnectFailed, Hello, Peer, Refusal, Refused, SessionLost, Welcome

PEER = Peer("wire", 1)
WINDOW_EVENTS = 16


class Wire:
    """``inbox`` is None while the receiver is down."""

    def __init__(self, rng: random.Random, cut_rate: float) -> None:
        self.rng = rng
        self.cut_rate = cut_rate
        self.inbox: Inbox[Any] | None = None
        self.sessions: list[WireSession] = []

    async def connect(self, _addresses: Any, hello: Hello, **_settings: Any) -> "WireSession":
        await asyncio.sleep(self.rng.random() * 0.05)
        inbox = self.inbox
        if inbox is None or self.cut():
            raise ConnectFailed("nobody listens")
        try:
            position = await inbox.hello(hello, PEER)
        except Refusal as refusal:
            raise Refused(refusal.code, refusal.reason) from refusal
        except Exception as error:
            raise SessionLost(f"no answer: {error}") from error
        for older in self.sessions:
            if older.stream == hello.stream:
                older.cut()
        session = WireSession(self, inbox, hello, position.epoch, position.watermark)
        self.sessions = [older for older in self.sessions if older.error is None] + [session]
        return session

    def cut(self) -> bool:
        return self.rng.random() < self.cut_rate


class WireSession:
    """What a relay sees of feed.SenderSession."""

    address = "wire"

    def __init__(self, wire: Wire, inbox: Inbox[Any], hello: Hello, epoch: int | None, watermark: int | None) -> None:
        self.welcome = Welcome(1, epoch, watermark, WINDOW_EVENTS, 1 << 20, 1000, 3000, "wire")
        self.acked = watermark
        self.error: Exception | None = None
        self.stream = hello.stream
        self._told: int | None = None
        self._wire = wire
        self._inbox = inbox
        self._hello = hello
        self._queue: list[tuple[int, bytes]] = []
        self._in_flight = 0
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._deliver())

    def cut(self, error: Exception | None = None) -> None:
        self.error = self.error or error or SessionLost("cut")
        self._changed.set()

    async def send(self, first_seq: int, bodies: Sequence[bytes]) -> None:
        for seq, body in enumerate(bodies, first_seq):
            while self._in_flight >= WINDOW_EVENTS and self.error is None:
                await self._change()
            if self.error is not None:
                raise self.error
            self._in_flight += 1
            self._queue.append((seq, body))
            self._changed.set()

    async def wait_ack(self, timeout_s: float) -> int | None:
        until = asyncio.get_running_loop().time() + timeout_s
        while self.acked == self._told:
            if self.error is not None:
                raise self.error
            try:
                async with asyncio.timeout_at(until):
                    await self._change()
            except TimeoutError:
                return None
        self._told = self.acked
        return self.acked

    async def close(self, _reason: str = "done") -> None:
        self.cut()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _deliver(self) -> None:
        """Applies go on after a cut, as they do in the real server."""
        rng = self._wire.rng
        while self.error is None:
            if not self._queue:
                await self._change()
                continue
            await asyncio.sleep(rng.random() * 0.02)
            batch = self._queue[: rng.randint(1, 8)]
            if self._wire.cut():
                return self.cut()
            try:
                watermark = await self._inbox.apply(self._hello, batch[0][0], [body for _, body in batch])
            except Refusal as refusal:
                return self.cut(Refused(refusal.code, refusal.reason))
            except Exception as error:
                return self.cut(SessionLost(f"apply failed: {error}"))
            del self._queue[: len(batch)]
            if self._wire.cut():
                return self.cut()  # applied, and the ack is lost
            self._in_flight -= len(batch)
            self.acked = watermark
            self._changed.set()
        return None

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
