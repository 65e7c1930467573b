"""Frames: a 4-byte big-endian length, then that many bytes of body.

Laws of this file:
- It knows lengths, not messages; bytes in, bodies out; no clock, no socket.
- The length is checked as soon as its 4 bytes are there, before a byte of the body is kept:
  the reader never holds more than one frame of the allowed size and the bytes fed last.
- Bytes may come in any cut; the bodies that come out are the same.
"""

import struct
from collections.abc import Callable

from ticketflow.feed.errors import Code, RemoteProtocolError

_LENGTH = struct.Struct(">I")
HEADER_BYTES = _LENGTH.size
_NO_LENGTH = bytes(HEADER_BYTES)  # until the body stands


class FrameReader:
    """Cuts a byte stream into frame bodies. ``body_bytes_max`` may be raised between frames (after the handshake)."""

    __slots__ = ("_buffer", "_start", "body_bytes_max")

    def __init__(self, body_bytes_max: int) -> None:
        self.body_bytes_max = body_bytes_max
        self._buffer = bytearray()
        self._start = 0  # where the frame that is next begins in the buffer

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes in; ``next`` gives the frames. Drain ``next`` after each feed, or the buffer grows."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next(self) -> bytearray | None:
        """The next whole body, or None. Raises RemoteProtocolError (bad_frame, frame_too_large)."""
        body_at = self._start + HEADER_BYTES
        if body_at > len(self._buffer):
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, self._start)
        if not 1 <= length <= self.body_bytes_max:
            self._refuse(length)
        if body_at + length > len(self._buffer):
            return None
        self._start = body_at + length
        return self._buffer[body_at : self._start]

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return self._start < len(self._buffer)

    def _refuse(self, length: int) -> None:
        if length == 0:
            raise RemoteProtocolError(Code.BAD_FRAME, "a frame of length 0")
        raise RemoteProtocolError(
            Code.FRAME_TOO_LARGE, f"a frame of {length} bytes; at most {self.body_bytes_max} are allowed here"
        )


def write_frame(out: bytearray, append_body: Callable[[bytearray], object]) -> None:
    """Append one frame to ``out``, whose body ``append_body`` appends. What that raises leaves ``out`` as it was."""
    at = len(out)
    out += _NO_LENGTH
    try:
        append_body(out)
    except BaseException:
        del out[at:]
        raise
    _LENGTH.pack_into(out, at, len(out) - at - HEADER_BYTES)
