"""What comes with every message, written and read by hand: a library's general way costs ten times as much.

Laws of this file:
- Pure: messages in, frames' bytes out, and the other way round.
- What we write is read by anybody's AMQP library; what we read may have been written by any.
- Headers that are of no use to us are no reason to stop: a table that cannot be read is an empty one.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pamqp import decode as pamqp_decode
from pamqp.header import ContentHeader

from ticketflow.runtime.amqp_frames import BODY, HEADER, METHOD, OVERHEAD_BYTES, Malformed, framed
from ticketflow.runtime.amqp_message import Headers, Outgoing

# class and method, as one number
DELIVER, ACK, NACK = 0x003C003C, 0x003C0050, 0x003C0078

_PUBLISH = b"\x00\x3c\x00\x28\x00\x00"  # basic.publish, and two bytes that mean nothing any more
_MANDATORY = b"\x01"
_CLASS = 0x003C
_CONTENT_TYPE, _ENCODING, _HEADERS, _MODE, _MESSAGE_ID = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
_FLAGS = _CONTENT_TYPE | _HEADERS | _MODE | _MESSAGE_ID
_TYPE = b"application/msgpack"
_SHORT_TYPE = bytes([len(_TYPE)]) + _TYPE
_PERSISTENT = b"\x02"
ROUTES_CACHED_MAX = 256  # kinds of events are a dozen; others come from strangers and may be many

_head = struct.Struct(">HHQH")
_long = struct.Struct(">I")
_longlong = struct.Struct(">Q")
_tag_and_bits = struct.Struct(">QB")
_text = struct.Struct(">cI")
_integer = struct.Struct(">cq")
_int32 = struct.Struct(">i")
_int64 = struct.Struct(">q")


class Header(NamedTuple):
    """Of a message that is coming: how many bytes follow, and its headers."""

    body_bytes: int
    headers: Mapping[str, object]


class Deliver(NamedTuple):
    tag: int
    redelivered: bool
    routing_key: str


def published(message: Outgoing, message_id: bytes, channel: int, frame_max: int) -> bytes:
    """The frames of one publish: persistent, mandatory. Raises ValueError when a name has more than 255 bytes."""
    body = message.body
    table = _table(message.headers)
    header = b"".join(
        (
            _head.pack(_CLASS, 0, len(body), _FLAGS),
            _SHORT_TYPE,
            _long.pack(len(table)),
            table,
            _PERSISTENT,
            bytes((len(message_id),)),
            message_id,
        )
    )
    frames = [_method(message.exchange, message.routing_key, channel), framed(HEADER, channel, header)]
    most = frame_max - OVERHEAD_BYTES
    if 0 < len(body) <= most:
        frames.append(framed(BODY, channel, body))
    else:
        frames += [framed(BODY, channel, body[begin : begin + most]) for begin in range(0, len(body), most)]
    return b"".join(frames)


@lru_cache(ROUTES_CACHED_MAX)
def _method(exchange: str, routing_key: str, channel: int) -> bytes:
    return framed(METHOD, channel, _PUBLISH + _short(exchange) + _short(routing_key) + _MANDATORY)


def _short(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"a name of {len(data)} bytes; AMQP has room for 255")
    return bytes((len(data),)) + data


@lru_cache(ROUTES_CACHED_MAX)
def _name(name: str) -> bytes:
    return _short(name)


def _table(headers: Headers) -> bytes:
    parts = []
    for name, value in headers.items():
        parts.append(_name(name))
        if isinstance(value, str):
            data = value.encode(errors="replace")  # half of a surrogate pair has no form in UTF-8
            parts.append(_text.pack(b"S", len(data)))
            parts.append(data)
        else:
            parts.append(_integer.pack(b"l", value))
    return b"".join(parts)


def acknowledged(tag: int, channel: int) -> bytes:
    """The frame of our ack of this delivery and all before it."""
    return framed(METHOD, channel, b"\x00\x3c\x00\x50" + _tag_and_bits.pack(tag, 1))


def settled(payload: bytes) -> tuple[int, bool]:
    """Of the broker's ack or nack: which tag, and whether it stands for all up to it. Raises Malformed."""
    try:
        tag, bits = _tag_and_bits.unpack_from(payload, 4)
    except struct.error as error:
        raise Malformed("a confirm that cannot be read") from error
    return tag, bool(bits & 1)


def delivered(payload: bytes) -> Deliver:
    """Of a message that comes. Raises Malformed."""
    try:
        at = 5 + payload[4]  # behind the consumer's tag
        tag, redelivered = _tag_and_bits.unpack_from(payload, at)
        at += 9
        at += 1 + payload[at]  # the exchange
        key = payload[at + 1 : at + 1 + payload[at]]
        return Deliver(tag, bool(redelivered & 1), key.decode(errors="replace"))
    except (struct.error, IndexError) as error:
        raise Malformed("a delivery that cannot be read") from error


def header_of(payload: bytes) -> Header:
    """Of a frame of kind HEADER. Raises Malformed."""
    try:
        _, _, size, flags = _head.unpack_from(payload, 0)
        at = _head.size
        for flag in (_CONTENT_TYPE, _ENCODING):
            if flags & flag:
                at += 1 + payload[at]
        return Header(size, _headers(payload, at) if flags & _HEADERS else {})
    except (struct.error, IndexError) as error:
        raise Malformed("a message's header that cannot be read") from error


def message_id_of(payload: bytes) -> str:
    """The message id in a frame of kind HEADER; empty when it has none."""
    header = ContentHeader()
    try:
        header.unmarshal(payload)
    except (struct.error, ValueError):
        return ""
    return header.properties.message_id or ""


def _headers(payload: bytes, at: int) -> Mapping[str, object]:
    """The table that begins there: texts and integers, which are all of ours, at once; a table with more, slowly."""
    (length,) = _long.unpack_from(payload, at)
    begin = at
    at += 4
    end = at + length
    found: dict[str, object] = {}
    try:
        while at < end:
            stop = at + 1 + payload[at]
            name = payload[at + 1 : stop].decode()
            kind = payload[stop]
            at = stop + 1
            if kind == 83:  # S
                stop = at + 4 + _long.unpack_from(payload, at)[0]
                found[name] = payload[at + 4 : stop].decode()
                at = stop
            elif kind == 108:  # l
                found[name] = _int64.unpack_from(payload, at)[0]
                at += 8
            elif kind == 73:  # I
                found[name] = _int32.unpack_from(payload, at)[0]
                at += 4
            else:
                return dict(pamqp_decode.field_table(payload[begin:])[1])
    except (struct.error, IndexError, ValueError, RecursionError):
        return {}
    return found
