"""Reading frames as they pass by. A write of either end is always whole frames."""

from ticketflow.feed.frames import HEADER_BYTES
from ticketflow.feed.messages import Ack, Events, Hello, decode

ACK_TAG = b"\xa3ack"  # how msgpack writes it, after one byte for the array


def frames(data: bytes) -> list[bytes]:
    """The frames in ``data``, each with its length."""
    found, at = [], 0
    while at < len(data):
        end = at + HEADER_BYTES + int.from_bytes(data[at : at + HEADER_BYTES], "big")
        found.append(data[at:end])
        at = end
    return found


def acked(frame: bytes) -> int | None:
    """The seq of an ACK; None for any other frame."""
    if frame[HEADER_BYTES + 1 : HEADER_BYTES + 1 + len(ACK_TAG)] != ACK_TAG:
        return None
    message = decode(frame[HEADER_BYTES:])
    assert isinstance(message, Ack)
    return message.seq


def stream_of(frame: bytes) -> str:
    """The stream that a HELLO names; empty for any other frame."""
    message = decode(frame[HEADER_BYTES:])
    return message.stream if isinstance(message, Hello) else ""


def name(frame: bytes) -> str:
    """One short line."""
    message = decode(frame[HEADER_BYTES:])
    if isinstance(message, Events):
        return f"EVENTS {message.first_seq}..{message.last_seq}"
    return str(message)
