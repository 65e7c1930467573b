"""AMQP 0-9-1 on the wire: where one frame ends and the next begins. Pure: bytes in, frames out.

Laws of this file:
- A frame is given once it is here whole; what is left waits for more, and is never longer than a frame may be.
- Whatever is no frame raises Malformed: nothing that comes after it can be read, so the connection ends.
- Methods that are rare go through ``pamqp``. What comes with every message is written and read by amqp_content.
"""

import struct
from typing import NamedTuple

from pamqp import frame as pamqp_frame
from pamqp.base import Frame as Method
from pamqp.exceptions import PAMQPException

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
OVERHEAD_BYTES = 8  # a frame's head and end
FRAME_BYTES_MAX = 131_072  # what we ask for, and what RabbitMQ offers; larger bodies come in several frames
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_HEAD = struct.Struct(">BHI")
_END = bytes([END])
_KINDS = frozenset({METHOD, HEADER, BODY, HEARTBEAT})


class Malformed(ConnectionError):
    """The other side does not speak AMQP 0-9-1, or not as agreed."""


class Frame(NamedTuple):
    kind: int
    channel: int
    payload: bytes


def framed(kind: int, channel: int, payload: bytes) -> bytes:
    """The bytes of one frame."""
    return b"".join((_HEAD.pack(kind, channel, len(payload)), payload, _END))


def marshalled(method: Method, channel: int) -> bytes:
    """The bytes of a method's frame. Raises ValueError when it has no form on the wire (a name of 256 bytes)."""
    return pamqp_frame.marshal(method, channel)


def method_of(payload: bytes) -> Method:
    """The method in a frame of kind METHOD. Raises Malformed."""
    try:
        _, _, method = pamqp_frame.unmarshal(framed(METHOD, 0, payload))
    except PAMQPException as error:
        raise Malformed(f"a method that cannot be read: {error}") from error
    assert isinstance(method, Method)
    return method


class Splitter:
    """Cuts what arrives into frames. ``frame_max``: in bytes, head and end included."""

    def __init__(self, frame_max: int = FRAME_BYTES_MAX) -> None:
        self.frame_max = frame_max
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now, in order. Raises Malformed."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        begin, size = 0, len(data)
        while size - begin >= OVERHEAD_BYTES:
            kind, channel, length = _HEAD.unpack_from(data, begin)
            if kind not in _KINDS:
                raise Malformed(f"no frame begins with {data[begin : begin + 8]!r}")
            if length > self.frame_max - OVERHEAD_BYTES:
                raise Malformed(f"a frame of {length} bytes; {self.frame_max} were agreed")
            end = begin + 7 + length
            if end >= size:
                break
            if data[end] != END:
                raise Malformed("a frame without its end")
            frames.append(Frame(kind, channel, data[begin + 7 : end]))
            begin = end + 1
        self._rest = data[begin:]
        return frames
