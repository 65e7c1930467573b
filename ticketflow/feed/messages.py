"""The messages: msgpack arrays whose first element names the type.

Laws of this file:
- Only shapes and bounds live here; what may be said when is in ``states``.
- HELLO and WELCOME may carry further elements, which are ignored: that is how a newer version introduces itself.
  All others have exactly the elements of the version that WELCOME named.
- Fields are only ever appended. Every string and list is bounded; ``str()`` of a message is one short line for logs.
"""

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from ticketflow.feed.errors import Code, RemoteProtocolError
from ticketflow.feed.limits import (
    CODE_CHARS_MAX,
    EVENTS_PER_FRAME_MAX,
    FORKS_MAX,
    NAME_CHARS_MAX,
    NESTING_MAX,
    PING_MS_MIN,
    REASON_CHARS_MAX,
    SEQ_MAX,
    SMALL_BYTES_MAX,
    STREAM_CHARS_MAX,
    TIMEOUT_MS_MAX,
    WINDOW_BYTES_MAX,
    WINDOW_BYTES_MIN,
    WINDOW_EVENTS_MAX,
)
from ticketflow.feed.nesting import check_nesting

Count = Annotated[int, Meta(ge=0, le=SEQ_MAX)]
Seq = Annotated[int, Meta(ge=1, le=SEQ_MAX)]
Version = Annotated[int, Meta(ge=1, le=65535)]
Stream = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\Z", max_length=STREAM_CHARS_MAX)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
CodeText = Annotated[str, Meta(pattern=r"^[a-z][a-z_]*\Z", max_length=CODE_CHARS_MAX)]
Reason = Annotated[str, Meta(max_length=REASON_CHARS_MAX)]
Body = Annotated[bytes, Meta(min_length=1)]
Fork = tuple[Count, Count]  # (epoch, after_seq)


class Message(msgspec.Struct, frozen=True, array_like=True):
    """Base of all messages."""


class Hello(Message, frozen=True, tag="hello"):
    """The sender's first frame: who sends which stream, and how far its history goes.

    ``version``: the highest the sender speaks. ``epoch``: changes when its history may have forked. ``fence``: the
    fencing token of the lease under which it sends. ``last_seq``: the last seq it has stamped, 0 for none. ``forks``:
    the epochs before this one, oldest first: "my history was that of ``epoch`` up to and with ``after_seq``".
    """

    version: Version
    stream: Stream
    epoch: Count
    fence: Count
    last_seq: Count
    sender: Name
    forks: Annotated[tuple[Fork, ...], Meta(max_length=FORKS_MAX)] = ()


class Welcome(Message, frozen=True, tag="welcome"):
    """The receiver's answer: it will take events, within this window, after this watermark.

    ``version``: the one spoken from here on. ``epoch`` and ``watermark``: the receiver's for this stream, None when it
    stores none (the sender then goes on after what it knows to be acknowledged).
    """

    version: Version
    epoch: Count | None
    watermark: Count | None
    window_events: Annotated[int, Meta(ge=1, le=WINDOW_EVENTS_MAX)]
    window_bytes: Annotated[int, Meta(ge=WINDOW_BYTES_MIN, le=WINDOW_BYTES_MAX)]
    ping_interval_ms: Annotated[int, Meta(ge=PING_MS_MIN, le=TIMEOUT_MS_MAX)]
    idle_timeout_ms: Annotated[int, Meta(ge=PING_MS_MIN, le=TIMEOUT_MS_MAX)]
    receiver: Name


class Events(Message, frozen=True, tag="events", forbid_unknown_fields=True):
    """One or many events; the seq of ``bodies[i]`` is ``first_seq + i``. The feed does not look into a body."""

    first_seq: Seq
    bodies: Annotated[list[Body], Meta(min_length=1, max_length=EVENTS_PER_FRAME_MAX)]

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.bodies) - 1

    def __str__(self) -> str:
        return f"Events({self.first_seq}..{self.last_seq}, {sum(map(len, self.bodies))} bytes)"


class Ack(Message, frozen=True, tag="ack", forbid_unknown_fields=True):
    """The receiver has durably applied every event up to and including ``seq``."""

    seq: Count


class Ping(Message, frozen=True, tag="ping", forbid_unknown_fields=True):
    """A sign of life that wants one back."""

    n: Count


class Pong(Message, frozen=True, tag="pong", forbid_unknown_fields=True):
    """The answer to the ping with the same ``n``."""

    n: Count


class Refuse(Message, frozen=True, tag="refuse", forbid_unknown_fields=True):
    """The end of the session, and why. ``retry_after_ms``: a hint, None for none."""

    code: CodeText
    reason: Reason
    retry_after_ms: Annotated[int, Meta(ge=0, le=TIMEOUT_MS_MAX)] | None


class Goodbye(Message, frozen=True, tag="goodbye", forbid_unknown_fields=True):
    """A peaceful end: no more events after this. The receiver closes once it has acknowledged what it applied."""

    reason: Reason


AnyMessage = Hello | Welcome | Events | Ack | Ping | Pong | Refuse | Goodbye
MESSAGES: tuple[type[Message], ...] = (Hello, Welcome, Events, Ack, Ping, Pong, Refuse, Goodbye)

_HELLO_FIELDS = Hello.__struct_fields__[:-1]
_WITH_MORE = (Hello, Welcome)  # may carry elements that this version does not know
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """The body of the frame that carries ``message``. A HELLO without forks is as it was before there were any."""
    return _encoder.encode(_wire(message))


def append(message: Message, out: bytearray) -> None:
    """The same at the end of ``out``, without a copy in between."""
    _encoder.encode_into(_wire(message), out, -1)


def _wire(message: Message) -> object:
    if isinstance(message, Hello) and not message.forks:
        return ("hello", *(getattr(message, name) for name in _HELLO_FIELDS))
    return message


def decode(body: bytes | bytearray | memoryview) -> AnyMessage:
    """The message in a frame's body. Raises RemoteProtocolError (bad_message, frame_too_large)."""
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(Code.BAD_MESSAGE, clip(str(error))) from error
    if isinstance(message, Events):  # first: it is what there is most of
        if message.last_seq > SEQ_MAX:
            raise RemoteProtocolError(Code.BAD_MESSAGE, f"seq {message.last_seq} is out of bounds")
        return message
    if len(body) > SMALL_BYTES_MAX:
        raise RemoteProtocolError(
            Code.FRAME_TOO_LARGE, f"a message of {len(body)} bytes; only events may have more than {SMALL_BYTES_MAX}"
        )
    if isinstance(message, _WITH_MORE):
        check_nesting(body, NESTING_MAX)
    if isinstance(message, Hello):
        _check_forks(message)
    if isinstance(message, Welcome) and message.ping_interval_ms >= message.idle_timeout_ms:
        raise RemoteProtocolError(Code.BAD_MESSAGE, "ping_interval_ms is not below idle_timeout_ms")
    return message


def _check_forks(hello: Hello) -> None:
    epochs = [epoch for epoch, _ in hello.forks] + [hello.epoch]
    if any(before >= after for before, after in pairwise(epochs)):
        raise RemoteProtocolError(Code.BAD_MESSAGE, "the epochs of forks do not rise up to the epoch")


def clip(reason: str) -> str:
    """``reason`` cut to what REFUSE and GOODBYE may carry."""
    return reason if len(reason) <= REASON_CHARS_MAX else reason[: REASON_CHARS_MAX - 3] + "..."
