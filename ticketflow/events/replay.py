"""What the bridge and the portal tell each other of a stream's position, as the bridge itself stores nothing.

Laws of this file:
- A ``StreamPosition`` travels as an event, in the queue of the events: what lies before it in the queue was published
  before it. A portal that does not know the kind ignores it.
- ``Standing``, ``Rewind`` and ``Seen`` go to every bridge (``REPLAY_EXCHANGE``). All of them may be lost, late or
  repeated.
- The bytes come from outside: whatever is not of these shapes, or out of bounds, raises BadEvent.
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from ticketflow.events.envelope import BadEvent, Envelope, envelope_for
from ticketflow.events.ids import new_id
from ticketflow.events.kinds import Payload

FORKS_MAX = 16  # as in HELLO
REQUEST_BYTES_MAX = 1024

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Stream = Annotated[str, Meta(min_length=1, max_length=64)]


class StreamPosition(Payload, frozen=True, kw_only=True):
    """bridge: the sender of ``stream`` is connected, and had given seqs up to ``last_seq``.

    ``forks``: HELLO's. ``resumed_after``: where this session was told to go on; None when the sender chose by itself.
    """

    kind: ClassVar[str] = "stream.position"
    stream: Stream
    epoch: Count
    last_seq: Count
    forks: Annotated[list[tuple[Count, Count]], Meta(max_length=FORKS_MAX)] = msgspec.field(default_factory=list)
    resumed_after: Count | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True, tag="standing"):
    """portal: events are missing after ``watermark``; the sender was once known to be at ``highest``."""

    stream: Stream
    epoch: Count
    watermark: Count
    highest: Count


class Rewind(msgspec.Struct, frozen=True, kw_only=True, tag="rewind"):
    """bridge: whoever gets the next HELLO of ``stream`` answers with this ``watermark``.

    ``ahead``: it is meant to be beyond the sender's last seq, or of a newer epoch, so that the sender learns that it
    has lost history.
    """

    stream: Stream
    epoch: Count
    watermark: Count
    ahead: bool


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag="seen"):
    """bridge: the sender of ``stream`` had given seqs up to ``last_seq``. For the memory of the other bridges."""

    stream: Stream
    epoch: Count
    last_seq: Count


Request = Standing | Rewind | Seen

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_positions = msgspec.msgpack.Decoder(StreamPosition)


def position_event(position: StreamPosition) -> Envelope:
    """The event that carries it."""
    return envelope_for(position, key=position.stream, correlation_id=new_id())


def position_of(envelope: Envelope) -> StreamPosition:
    """What it carries. Raises BadEvent."""
    try:
        return _positions.decode(envelope.payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadEvent(f"{envelope.kind}: {error}") from error


def encode_request(request: Request) -> bytes:
    return _encoder.encode(request)


def decode_request(body: bytes) -> Request:
    """Raises BadEvent."""
    if len(body) > REQUEST_BYTES_MAX:
        raise BadEvent(f"a request of {len(body)} bytes")
    try:
        return _requests.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadEvent(f"no request: {error}") from error
