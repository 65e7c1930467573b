"""A sender and a receiver in processes of their own, and what they measured together."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

START_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 70.0  # above what a node gives itself
END_TIMEOUT_S = 5.0
THROUGHPUT_S = 0.5  # a round; some 3,000 events of the slowest peer, a million of ours
PACED_S = 1.0
PACED_PER_SECOND = 1000


class Process:
    """A node, see feed_node.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.port = 0
        self._process = process

    async def ask(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self.answer(ANSWER_TIMEOUT_S)

    async def answer(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_s):
            line = await self._process.stdout.readline()
        assert line, "a process of the bench has ended, see above"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def node(role: str, **options: Any) -> AsyncIterator[Process]:
    """A process that plays ``role``, ready."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "bench.feed_node", role, json.dumps(options))
    process = Process(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
    try:
        process.port = (await process.answer(START_TIMEOUT_S))["port"]
        yield process
    finally:
        await process.end()


class Pair:
    """A sender and who counts what it sent; None when the peer's own server does, and says so to the sender."""

    def __init__(self, sender: Process, receiver: Process | None) -> None:
        self.p50s_ms: list[float] = []  # of each round that was paced
        self._sender = sender
        self._receiver = receiver

    async def per_second(self) -> float:
        """Events acknowledged a second."""
        sent = await self._measured(THROUGHPUT_S, 0)
        return float(sent["events"] / sent["seconds"])

    async def p99_ms(self) -> float:
        """From handing an event over until its acknowledgement is there, paced."""
        sent = await self._measured(PACED_S, PACED_PER_SECOND)
        self.p50s_ms.append(float(sent["p50_ms"]))
        return float(sent["p99_ms"])

    async def _measured(self, seconds: float, per_second: int) -> dict[str, Any]:
        sent = await self._sender.ask(seconds=seconds, per_second=per_second)
        if self._receiver is not None:
            got = await self._receiver.ask(seconds=0, per_second=0)
            assert got["last_seq"] == sent["last_seq"], f"{sent['last_seq']} were sent, {got['last_seq']} came"
        return sent


@asynccontextmanager
async def pair(sender: str, receiver: str, **options: Any) -> AsyncIterator[Pair]:
    """``options`` go to both; the sender is told the receiver's ``port``."""
    async with node(receiver, **options) as listening, node(sender, port=listening.port, **options) as sending:
        yield Pair(sending, listening)
