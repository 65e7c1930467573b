"""Frames: a 4-byte big-endian length, then that many bytes of body.

Laws of this file:
- It knows lengths, not messages; bytes in, bodies out; no clock, no socket.
- The length is checked as soon as its 4 bytes are there, before a byte of the body is kept:
  the reader never holds more than one frame of the allowed size and the bytes fed last.
- Bytes may come in any cut; the bodies that come out are the same.
"""

import struct
from collections.abc import Callable
from typing import TypeVar

from ticketflow.feed.errors import Code, RemoteProtocolError

T = TypeVar("T")

_LENGTH = struct.Struct(">I")
HEADER_BYTES = _LENGTH.size
_NOTHING = memoryview(b"")
_NO_LENGTH = bytes(HEADER_BYTES)  # until the body stands


class FrameReader:
    """Cuts a byte stream into frame bodies. ``body_bytes_max`` may be raised between frames (after the handshake).

    A frame that arrives whole is not copied: its body is a view of what was fed, good until the next ``feed``.
    """

    __slots__ = ("_at", "_begun", "_fed", "body_bytes_max")

    def __init__(self, body_bytes_max: int) -> None:
        self.body_bytes_max = body_bytes_max
        self._fed = _NOTHING
        self._at = 0  # how far what was fed has been read
        self._begun = bytearray()  # of a frame that was not complete when what was fed before ended

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes in; then ``next`` gives the frames, until None, before more is fed."""
        self._fed = memoryview(data)
        self._at = 0

    def next(self) -> memoryview | None:
        """The next whole body, or None. Raises RemoteProtocolError (bad_frame, frame_too_large)."""
        if self._begun:
            return self._complete()
        body_at = self._at + HEADER_BYTES
        if body_at <= len(self._fed):
            end = body_at + self._length(self._fed, self._at)
            if end <= len(self._fed):
                self._at = end
                return self._fed[body_at:end]
        if self._at < len(self._fed):
            self._begun += self._fed[self._at :]
        self._fed, self._at = _NOTHING, 0
        return None

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._begun) or self._at < len(self._fed)

    def _complete(self) -> memoryview | None:
        """The frame that began in what was fed before."""
        if not self._fill(HEADER_BYTES) or not self._fill(HEADER_BYTES + self._length(self._begun, 0)):
            self._fed, self._at = _NOTHING, 0
            return None
        whole, self._begun = self._begun, bytearray()
        return memoryview(whole)[HEADER_BYTES:]

    def _fill(self, size: int) -> bool:
        """Have ``size`` bytes of the frame that has begun; False when there are not so many."""
        missing = size - len(self._begun)
        if missing > 0:
            more = self._fed[self._at : self._at + missing]
            self._begun += more
            self._at += len(more)
        return len(self._begun) >= size

    def _length(self, buffer: bytearray | memoryview, at: int) -> int:
        length: int = _LENGTH.unpack_from(buffer, at)[0]
        if length == 0:
            raise RemoteProtocolError(Code.BAD_FRAME, "a frame of length 0")
        if length > self.body_bytes_max:
            raise RemoteProtocolError(
                Code.FRAME_TOO_LARGE, f"a frame of {length} bytes; at most {self.body_bytes_max} are allowed here"
            )
        return length


def write_frame(out: bytearray, append_body: Callable[[T, bytearray], object], body: T) -> None:
    """Append a frame to ``out``, whose ``body`` ``append_body`` appends. What that raises leaves ``out`` as it was."""
    at = len(out)
    out += _NO_LENGTH
    try:
        append_body(body, out)
    except BaseException:
        del out[at:]
        raise
    _LENGTH.pack_into(out, at, len(out) - at - HEADER_BYTES)
