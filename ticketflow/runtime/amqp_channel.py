"""One channel: calls and their answers, and the messages that come, put together from their frames.

Laws of this file:
- Answers come in the order of the calls. One whose caller has gone is awaited all the same, else the next would get it.
- What comes unasked for goes to the listener at once, in order, and on no task of its own.
- A channel that the broker closes is over, and says why: see the laws of ``ticketflow.runtime.amqp``.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from pamqp import commands
from pamqp.base import Frame as Method

from ticketflow.runtime import amqp_content as content
from ticketflow.runtime.amqp_frames import BODY, HEADER, METHOD, Frame, Malformed, marshalled, method_of
from ticketflow.runtime.amqp_message import Delivery

A = TypeVar("A", bound=Method)


class Closed(ConnectionError):
    """The channel, or its connection, has ended; the message says why."""


class Listener(Protocol):
    """Who uses a channel. Nothing here may raise."""

    def on_delivery(self, delivery: Delivery) -> None: ...

    def on_settled(self, tag: int, *, multiple: bool, acked: bool) -> None:
        """The broker has confirmed this publish, or those up to it, or refused them."""

    def on_returned(self, message_id: str, exchange: str, routing_key: str) -> None:
        """No queue took it. Its confirm follows."""

    def on_cancelled(self, consumer: str) -> None:
        """The broker has ended our consumer."""

    def on_closed(self, error: Closed) -> None: ...


class Calls:
    """What was asked and is not answered."""

    def __init__(self) -> None:
        self._ended: Closed | None = None
        self._waiting: deque[tuple[type[Method], asyncio.Future[Method]]] = deque()

    async def answer(self, expected: type[A]) -> A:
        """The next answer that nobody else waits for. Raises Closed."""
        if self._ended is not None:
            raise again(self._ended)
        future: asyncio.Future[Method] = asyncio.get_running_loop().create_future()
        self._waiting.append((expected, future))
        answer = await future
        assert isinstance(answer, expected)
        return answer

    def answered(self, method: Method) -> None:
        """Raises Malformed when it is no answer to what was asked first."""
        if not self._waiting:
            raise Malformed(f"{method.name} came unasked")
        expected, future = self._waiting.popleft()
        if not isinstance(method, expected):
            raise Malformed(f"{method.name} came where {expected.name} was due")
        if not future.done():
            future.set_result(method)

    def end(self, error: Closed) -> None:
        """No answer will come any more."""
        self._ended = error
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(again(error))
        self._waiting.clear()


def again(error: Closed) -> Closed:
    """The same error, to be raised in one more place."""
    copy = Closed(*error.args)
    copy.__cause__ = error.__cause__
    return copy


class Channel:
    """Made by ``Connection.channel``, then opened by whoever asked for it. ``write`` takes whole frames."""

    def __init__(self, number: int, write: Callable[[bytes], None], listener: Listener | None) -> None:
        self.number = number
        self.closed: Closed | None = None
        self._write = write
        self._listener = listener
        self._calls = Calls()
        self._message: content.Deliver | commands.Basic.Return | None = None  # the one that is coming
        self._headers: content.Header | None = None
        self._bodies: list[bytes] = []
        self._missing = 0  # bytes of its body

    async def open(self) -> None:
        """Raises Closed."""
        await self.call(commands.Channel.Open(), commands.Channel.OpenOk)

    async def call(self, method: Method, expected: type[A]) -> A:
        """Asks the broker, and returns its answer. Raises Closed."""
        if self.closed is not None:
            raise again(self.closed)
        self._write(marshalled(method, self.number))
        return await self._calls.answer(expected)

    def frame(self, frame: Frame) -> None:
        """Takes one frame of this channel. Raises Malformed."""
        if frame.kind == METHOD:
            self._method(frame.payload)
        elif frame.kind == HEADER:
            self._header(frame.payload)
        elif frame.kind == BODY:
            self._body(frame.payload)
        else:
            raise Malformed("a heartbeat on a channel")

    def end(self, error: Closed) -> None:
        """It is over; whoever waits on it is told."""
        if self.closed is not None:
            return
        self.closed = error
        self._calls.end(error)
        if self._listener is not None:
            self._listener.on_closed(error)

    def _method(self, payload: bytes) -> None:
        if self._message is not None:
            raise Malformed("a method where the rest of a message was due")
        index = int.from_bytes(payload[:4])
        listener = self._listener
        if listener is not None and index == content.DELIVER:
            self._message = content.delivered(payload)
        elif listener is not None and index in (content.ACK, content.NACK):
            tag, multiple = content.settled(payload)
            listener.on_settled(tag, multiple=multiple, acked=index == content.ACK)
        else:
            self._rare(method_of(payload))

    def _rare(self, method: Method) -> None:
        if isinstance(method, commands.Channel.Close):
            self._write(marshalled(commands.Channel.CloseOk(), self.number))
            self.end(Closed(f"{method.reply_code} {method.reply_text}"))
        elif isinstance(method, commands.Basic.Return):
            self._message = method
        elif isinstance(method, commands.Basic.Cancel) and self._listener is not None:
            self._listener.on_cancelled(method.consumer_tag or "")
        elif self.closed is None:
            self._calls.answered(method)

    def _header(self, payload: bytes) -> None:
        message = self._message
        if message is None or self._headers is not None:
            raise Malformed("a message's header, and no message")
        if isinstance(message, commands.Basic.Return) and self._listener is not None:
            where = message.exchange or "", message.routing_key or ""
            self._listener.on_returned(content.message_id_of(payload), *where)
        self._headers = content.header_of(payload)
        self._missing = self._headers.body_bytes
        if not self._missing:
            self._complete(b"")

    def _body(self, payload: bytes) -> None:
        self._missing -= len(payload)
        if self._headers is None or self._missing < 0:
            raise Malformed("a message's body, and no message")
        if self._missing:
            self._bodies.append(payload)
        elif self._bodies:
            self._complete(b"".join((*self._bodies, payload)))
        else:
            self._complete(payload)

    def _complete(self, body: bytes) -> None:
        message, headers = self._message, self._headers
        self._message, self._headers, self._bodies = None, None, []
        if isinstance(message, content.Deliver) and headers is not None and self._listener is not None:
            tag, redelivered, routing_key = message
            self._listener.on_delivery(Delivery(tag, routing_key, headers.headers, body, redelivered))
