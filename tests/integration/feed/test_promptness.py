"""What somebody waits for leaves at once: tested by an end that reads its socket while our loop stands still."""

import asyncio
import socket
from collections.abc import Sequence
from threading import Thread
from typing import Any
from unittest import mock
from uuid import uuid4

import msgpack
from prometheus_client import REGISTRY

from tests.integration.feed.peers import Recorder, hello, serving
from tests.support.waiting import wait_until
from ticketflow.feed import Address, Hello, Limits, connect
from ticketflow.feed.link import Link
from ticketflow.feed.states import Role

READ_TIMEOUT_S = 10.0  # only a failure takes so long


def say(sock: socket.socket, *message: Any) -> None:
    body = msgpack.packb(message)
    sock.sendall(len(body).to_bytes(4, "big") + body)


def hear(sock: socket.socket) -> list[Any]:
    """The next message but PING and PONG."""
    with sock.makefile("rb", buffering=0) as file:
        while True:
            head = file.read(4)
            assert head is not None
            body = file.read(int.from_bytes(head, "big"))
            message: list[Any] = msgpack.unpackb(body)
            if message[0] not in ("ping", "pong"):
                return message


async def test_a_batch_is_acknowledged_before_the_next_is_begun() -> None:
    with socket.socket() as sender:
        sender.settimeout(READ_TIMEOUT_S)
        heard: list[list[Any]] = []

        class Standing(Recorder):
            async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
                if first_seq > 1:  # the loop stands still until the sender has read
                    heard.append(hear(sender))
                return await super().apply(hello, first_seq, bodies)

        async with serving(Standing(), Limits(batch_events_max=1)) as server:
            await asyncio.to_thread(sender.connect, ("127.0.0.1", server.port))
            say(sender, "hello", 1, "reservation", 1, 1, 2, "stranger")
            assert (await asyncio.to_thread(hear, sender))[0] == "welcome"
            body = msgpack.packb(["events", 1, [b"a"]]), msgpack.packb(["events", 2, [b"b"]])
            sender.sendall(b"".join(len(part).to_bytes(4, "big") + part for part in body))
            await wait_until(lambda: heard)
            assert await asyncio.to_thread(hear, sender) == ["ack", 2]
        assert heard == [["ack", 1]]


async def test_an_event_that_comes_alone_leaves_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(READ_TIMEOUT_S)
        accepted: list[socket.socket] = []

        def receive() -> None:
            receiver, _ = listening.accept()
            receiver.settimeout(READ_TIMEOUT_S)
            accepted.append(receiver)
            assert hear(receiver)[0] == "hello"
            say(receiver, "welcome", 1, 1, 0, 2048, 2097152, 60_000, 600_000, "stranger")

        thread = Thread(target=receive)
        thread.start()
        session = await connect([Address("127.0.0.1", listening.getsockname()[1])], hello())
        await asyncio.to_thread(thread.join)
        await session.send(1, [b"a"])
        with accepted[0] as receiver:
            assert hear(receiver) == ["events", 1, [b"a"]]  # and our loop has not turned since
            for seq in (2, 3):
                await session.send(seq, [b"more"])  # with one in flight, they wait for each other
            await asyncio.to_thread(lambda: None)
            assert hear(receiver) == ["events", 2, [b"more", b"more"]]
            session.abort()
            await session.close()


async def test_whoever_waits_for_an_ack_has_it_before_it_is_counted() -> None:
    stream = f"prompt-{uuid4().hex[:8]}"
    counted: list[float] = []

    def acks() -> float:
        return REGISTRY.get_sample_value("feed_ack_seconds_count", {"stream": stream}) or 0.0

    async with serving(Recorder()) as server:
        session = await connect([Address("127.0.0.1", server.port)], hello(stream))

        async def wait() -> None:
            assert await session.wait_ack(READ_TIMEOUT_S) == 1
            counted.append(acks())

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await session.send(1, [b"a"])
        await waiting
        await wait_until(lambda: acks() == 1)
        await session.close()
    assert counted == [0.0]


async def test_an_ack_is_on_its_way_before_the_apply_is_counted() -> None:
    stream = f"prompt-{uuid4().hex[:8]}"

    def applies() -> float:
        return REGISTRY.get_sample_value("feed_apply_seconds_count", {"stream": stream}) or 0.0

    async with serving(Recorder()) as server:
        session = await connect([Address("127.0.0.1", server.port)], hello(stream))
        written: list[float] = []
        flush = Link._flush

        def seen(link: Link) -> None:
            if link.core.role is Role.RECEIVER and link.stream == stream and link.core.pending_bytes:
                written.append(applies())
            flush(link)

        with mock.patch.object(Link, "_flush", seen):
            await session.send(1, [b"a"])
            assert await session.wait_ack(READ_TIMEOUT_S) == 1
        await wait_until(lambda: applies() == 1)
        await session.close()
    assert written[0] == 0.0
