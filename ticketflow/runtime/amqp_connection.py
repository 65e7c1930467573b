"""One connection to RabbitMQ: bytes in and out, the handshake, heartbeats, and how it ends.

Laws of this file:
- It ends once, says why, and tells every channel. It is never repaired.
- Whole frames only are written, so channels cannot get into each other's way; and in the order of the calls.
- Any error in what arrives ends it: behind a frame that cannot be read none can.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from pamqp import commands
from pamqp.base import Frame as Method
from yarl import URL

from ticketflow.runtime import amqp_handshake as handshake
from ticketflow.runtime.amqp_channel import A, Calls, Channel, Closed, Listener, again
from ticketflow.runtime.amqp_frames import (
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    PROTOCOL_HEADER,
    Frame,
    Malformed,
    Splitter,
    marshalled,
    method_of,
)
from ticketflow.runtime.amqp_pulse import Pulse

if TYPE_CHECKING:
    from ticketflow.runtime.amqp_tls import NodeTls

WRITE_BUFFER_BYTES = 256 * 1024  # unsent output above this stops who publishes
GONE_TIMEOUT_S = 0.5  # a transport that was aborted is gone in the next turn of the loop
REPLY_SUCCESS = 200


class Connection(asyncio.Protocol):
    """To be opened once. ``on_flow`` is called when publishing may go on."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.transport: asyncio.Transport | None = None
        self.lost: Closed | None = None
        self.greeted = False  # the node has spoken AMQP to us
        self.blocked = False  # it has said that it reads no publishes now (memory or disk alarm)
        self.frame_max = 0  # bytes, as agreed
        self.on_flow: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        self._writable = True
        self._splitter = Splitter()
        self._calls = Calls()  # of channel 0, which is the connection itself
        self._channels: dict[int, Channel] = {}
        self._channel_max = 0
        self._last_channel = 0
        self._opened = False
        self._pulse = Pulse(lambda: self.write(HEARTBEAT_FRAME), lambda why: self._end(Closed(why)))

    # -- for its user

    async def open(self, tls: "NodeTls | None") -> None:
        """Dials and logs in. Raises OSError: Closed and Malformed among them."""
        if tls is None:
            host, port = self.url.host or "localhost", handshake.port_of(self.url)
            await self._loop.create_connection(lambda: self, host, port)
        else:
            await tls.dial(self.url, lambda: self)
        self.write(PROTOCOL_HEADER)
        start = await self._calls.answer(commands.Connection.Start)
        self.greeted = True
        self._send(handshake.start_ok(start, self.url))
        tune = handshake.tune_ok(await self._calls.answer(commands.Connection.Tune), self.url)
        self._send(tune)
        self.frame_max = self._splitter.frame_max = tune.frame_max
        self._channel_max = tune.channel_max
        self._pulse.start(tune.heartbeat)
        await self._call(commands.Connection.Open(handshake.vhost_of(self.url)), commands.Connection.OpenOk)
        self._opened = True

    def channel(self, listener: Listener | None = None) -> Channel:
        """A new channel, which is not open yet. Raises Closed when there are too many."""
        number = self._last_channel
        for _ in range(self._channel_max):
            number = number % self._channel_max + 1
            if number not in self._channels:
                break
        else:
            raise Closed("all channels are taken")
        self._last_channel = number
        channel = self._channels[number] = Channel(number, self.write, listener)
        if self.lost is not None:
            channel.end(again(self.lost))
        return channel

    async def close_channel(self, channel: Channel) -> None:
        """Its number is used again when both sides know that it is over. Raises Closed."""
        await channel.call(commands.Channel.Close(REPLY_SUCCESS, "", 0, 0), commands.Channel.CloseOk)
        channel.end(Closed("closed by us"))
        self.forget(channel)

    def forget(self, channel: Channel) -> None:
        """The broker has closed it."""
        self._channels.pop(channel.number, None)

    def write(self, data: bytes) -> None:
        """Whole frames. Into the void once the connection has ended: whoever waits for an answer is told by then."""
        if self.lost is None and self.transport is not None:
            self._pulse.wrote = True
            self.transport.write(data)

    @property
    def may_publish(self) -> bool:
        """Whether the node reads what is published now, and the network takes it."""
        return self._writable and not self.blocked and self.lost is None

    async def close(self) -> None:
        """Says goodbye, if it was open, and waits for the answer; cancelled, it waits no longer. Never raises."""
        parted = False
        try:
            if self.lost is None and self._opened:
                goodbye = commands.Connection.Close(REPLY_SUCCESS, "normally closed", 0, 0)
                await self._call(goodbye, commands.Connection.CloseOk)
                parted = True
        except Closed:
            pass
        finally:
            self._end(Closed("closed by us"), at_once=not parted)
            await self._until_gone()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one without inheriting from it
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        self._pulse.silent_beats = 0
        if self.lost is not None:
            return
        try:
            for frame in self._splitter.feed(data):
                self._frame(frame)
        except Malformed as error:
            self._end(Closed(f"{error}"))

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self.on_flow()

    def connection_lost(self, exc: Exception | None) -> None:
        error = Closed("the node hung up" if exc is None else f"the connection was lost: {exc!r}")
        error.__cause__ = exc or ConnectionResetError("the node hung up")
        self._end(error)
        self._gone.set()

    # -- inside

    async def _until_gone(self) -> None:
        if self.transport is not None:
            try:
                async with asyncio.timeout(GONE_TIMEOUT_S):
                    await self._gone.wait()
            except TimeoutError:
                self.transport.abort()

    async def _call(self, method: Method, expected: type[A]) -> A:
        self._send(method)
        return await self._calls.answer(expected)

    def _send(self, method: Method) -> None:
        self.write(marshalled(method, 0))

    def _frame(self, frame: Frame) -> None:
        if frame.channel:
            channel = self._channels.get(frame.channel)
            if channel is None:
                raise Malformed(f"a frame for channel {frame.channel}, which is not open")
            channel.frame(frame)
        elif frame.kind == METHOD:
            self._method(method_of(frame.payload))
        elif frame.kind != HEARTBEAT:
            raise Malformed("a message without a channel")

    def _method(self, method: Method) -> None:
        if isinstance(method, commands.Connection.Close):
            self._send(commands.Connection.CloseOk())
            self._end(Closed(f"{method.reply_code} {method.reply_text}"), at_once=False)
        elif isinstance(method, commands.Connection.Blocked):
            self.blocked = True
        elif isinstance(method, commands.Connection.Unblocked):
            self.blocked = False
            self.on_flow()
        else:
            self._calls.answered(method)

    def _end(self, error: Closed, *, at_once: bool = True) -> None:
        """``at_once``: output that is not sent is dropped."""
        self._pulse.stop()
        if self.transport is not None and not self._gone.is_set():
            if at_once:
                self.transport.abort()
            else:
                self.transport.close()
        if self.lost is None:
            self.lost = error
            self._calls.end(error)
            for channel in list(self._channels.values()):
                channel.end(error)
            self.on_flow()
