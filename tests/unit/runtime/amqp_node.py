"""A node of RabbitMQ in small: it answers what a session asks, and says of publishes what the test wants it to say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pamqp import body, commands, frame, header
from pamqp.base import Frame as Method
from pamqp.heartbeat import Heartbeat

from ticketflow.events.topology import Topology
from ticketflow.runtime.amqp import Broker, Outgoing, Session

ANSWERS: dict[type[frame.FrameTypes], Method] = {
    commands.Connection.Open: commands.Connection.OpenOk(),
    commands.Connection.Close: commands.Connection.CloseOk(),
    commands.Channel.Open: commands.Channel.OpenOk(),
    commands.Channel.Close: commands.Channel.CloseOk(),
    commands.Confirm.Select: commands.Confirm.SelectOk(),
    commands.Basic.Qos: commands.Basic.QosOk(),
    commands.Basic.Consume: commands.Basic.ConsumeOk("ctag"),
}


def messages(count: int, payload: bytes = b"text") -> list[Outgoing]:
    return [Outgoing("things", f"thing.{n}", {"n": n}, payload) for n in range(1, count + 1)]


@dataclass
class Node:
    """``arrived``: the publishes, by their tags from 1; ``said``: the other methods, by name, and heartbeats."""

    mechanisms: str = "AMQPLAIN PLAIN"
    frame_max: int = 131_072
    heartbeat: int = 0
    answers: bool = True
    arrived: list[tuple[str, str, bytes]] = field(default_factory=list)  # routing key, message id, body
    said: list[str] = field(default_factory=list)
    writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        assert await reader.readexactly(8) == b"AMQP\x00\x00\x09\x01"
        self.say(commands.Connection.Start(0, 9, {}, self.mechanisms, "en_US"), channel=0)
        try:
            while True:
                head = await reader.readexactly(7)
                rest = await reader.readexactly(int.from_bytes(head[3:7]) + 1)
                _, channel, value = frame.unmarshal(head + rest)
                self._heard(channel, value)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def say(self, *methods: frame.FrameTypes, channel: int = 1) -> None:
        assert self.writer is not None
        self.writer.write(b"".join(frame.marshal(method, channel) for method in methods))

    def say_bytes(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def send_back(self, tag: int) -> None:
        """The message has no queue."""
        key, message_id, payload = self.arrived[tag - 1]
        self.say(
            commands.Basic.Return(312, "NO_ROUTE", "things", key),
            header.ContentHeader(0, len(payload), commands.Basic.Properties(message_id=message_id)),
            body.ContentBody(payload),
        )

    def hang_up(self) -> None:
        assert self.writer is not None
        self.writer.transport.abort()

    def _heard(self, channel: int, value: frame.FrameTypes) -> None:
        if isinstance(value, header.ContentHeader):
            key, _, _ = self.arrived[-1]
            self.arrived[-1] = (key, value.properties.message_id or "", b"")
        elif isinstance(value, body.ContentBody):
            key, message_id, before = self.arrived[-1]
            self.arrived[-1] = (key, message_id, before + value.value)
        elif isinstance(value, commands.Basic.Publish):
            self.arrived.append((value.routing_key or "", "", b""))
        else:
            self.said.append("heartbeat" if isinstance(value, Heartbeat) else value.name)
            self._answer(channel, value)

    def _answer(self, channel: int, value: frame.FrameTypes) -> None:
        if isinstance(value, commands.Connection.StartOk):
            self.say(commands.Connection.Tune(2047, self.frame_max, self.heartbeat), channel=0)
        elif type(value) in ANSWERS and self.answers:
            self.say(ANSWERS[type(value)], channel=channel)


@asynccontextmanager
async def serving(node: Node) -> AsyncIterator[Broker]:
    """A broker that turns to ``node``; both end."""
    async with await asyncio.start_server(node.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker = Broker(f"amqp://a:b@127.0.0.1:{port}/", Topology((), (), ()), name="test")
        try:
            yield broker
        finally:
            await broker.close()
            if node.writer is not None:
                node.writer.transport.abort()


@asynccontextmanager
async def session_with(node: Node) -> AsyncIterator[Session]:
    async with serving(node) as broker:
        yield await broker.session()
