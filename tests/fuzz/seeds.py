"""The first entries of the corpus, as people think of them: `python -m tests.fuzz seed` writes what is missing."""

from collections.abc import Iterator

import msgpack

from tests.fuzz.ends import framed
from tests.fuzz.program import Op, Start, Step, write
from tests.unit.feed.document import EXAMPLES

(HELLO, WELCOME, WELCOME_FORGETFUL, EVENT, THREE, MANY, BIG, ACK, PING, PONG, REFUSE, REFUSE_NEW, GOODBYE) = range(13)
STRANGERS = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"AMQP\x00\x00\x09\x01",
    b"\x00\x00\x00\x00",
    b"\x00\x00\x00\x05hello",
    b"\x00\x04\x00\x01",
)
# What HELLO may carry beyond its fields begins with an empty list: a later version gave the first of it a meaning.
ODD_BODIES = (
    b"\xc1",
    b"\x92\xa3ack\xd3" + b"\xff" * 8,
    b"\x92\xa3ack\xcf" + b"\xff" * 8,
    b"\x92\xa3ack\xcb" + b"\x3f\xf0" + bytes(6),
    b"\x92\xa3ack\xc3",
    b"\x92\xa3ack\x01\x01",
    b"\x92\xc4\x03ack\x01",
    b"\x93\xa6events\x01\xdd\xff\xff\xff\xff",
    b"\x93\xa6events\x01\x91\xc6\xff\xff\xff\xff",
    b"\x93\xa6events\xcf\x7f" + b"\xff" * 7 + b"\x92\xc4\x01a\xc4\x01b",
    b"\x97\xa5hello\x01\xa2\xff\xfe\x01\x01\x01\xa1m",
    b"\x99\xa5hello\x01\xa1r\x01\x01\x01\xa1m\x90" + b"\x91" * 900 + b"\xc0",
    b"\x99\xa5hello\x01\xa1r\x01\x01\x01\xa1m\x90\xd4\x01\x00",
    b"\x99\xa5hello\x01\xa1r\x01\x01\x01\xa1m\x90\x81\x90\x80",
    b"\xdd\xff\xff\xff\xff\xa3ack",
    msgpack.packb(["hello", 1, "r", 1, 1, 1, "m", [], b"x" * 1020]),
    msgpack.packb(["hello", 1, "r", 1, 1, 1, "m", [], "x" * 300, {"a": [1] * 20}, [[]] * 20, -1, 2**40, 1.5, -(2**40)]),
    msgpack.packb(["welcome", 1, 1, 4, 8, 262144, 6000, 6000, "b"]),
    msgpack.packb(["welcome", 1, 1, 4, 8, 262144, 2000, 6000, "b", "zone-b", {1: {2: {3: []}}}]),
    msgpack.packb(["welcome", 1, 1, 4, 8, 262144, 2000, 6000, "b", {1: {2: {3: [[]]}}}]),
)


def bodies() -> Iterator[bytes]:
    """Every example of the document, and odd ones."""
    for _, wire in EXAMPLES:
        yield wire[4:]
    yield from ODD_BODIES


def say(phrase: int, number: int) -> Step:
    return Step(Op.SAY, phrase, number)


def programs() -> Iterator[bytes]:
    """For both roles: what an end of either role makes of it is the entry's name."""
    for state in range(4):
        for small in (False, True):
            start = Start(state, small, forgetful=small, by_peer=small)
            for stranger in STRANGERS:
                yield write(start, Step(Op.RAW, 31, data=stranger))
            for phrase in range(13):
                yield write(start, say(phrase, 6))
                yield write(start, Step(Op.CUT, 1), say(phrase, 255), Step(Op.TIME, 31))
            yield write(start, say(THREE, 6), say(EVENT, 9), Step(Op.ACT, 0), say(THREE, 7), say(ACK, 9))
            yield write(start, say(THREE, 1), say(EVENT, 9), Step(Op.ACT, 3, 2), say(MANY, 200))
            yield write(start, Step(Op.ACT, 0, 9), Step(Op.TAKE, 0), say(ACK, 9), Step(Op.ACT, 1), say(GOODBYE, 0))
            yield write(start, Step(Op.ACT, 3, 9), Step(Op.TAKE, 0), say(ACK, 255))
            yield write(start, *[say(PING, 1)] * 30, *[Step(Op.TIME, 20)] * 5)
            yield write(start, say(BIG, 1), say(BIG, 2), Step(Op.LINE, 31), Step(Op.TIME, 31), Step(Op.LINE, 0))
            yield write(start, Step(Op.RAW, 5, data=b"\x00\x00\x00\x09\x92"), Step(Op.TIME, 31), Step(Op.TIME, 31))
            yield write(start, *[Step(Op.TIME, 25)] * 6)
            yield write(start, say(WELCOME, 7))
            yield write(start, say(EVENT, 6), say(THREE, 5), Step(Op.LINE, 9), say(PONG, 0), say(EVENT, 6))


def seeds() -> Iterator[tuple[str, bytes]]:
    for body in bodies():
        yield "messages", body
        yield "frames", b"\x00" + framed(body)
        yield "frames", b"\x06" + framed(body) * 2
    for stranger in STRANGERS:
        yield "frames", b"\x01" + stranger
    for program in programs():
        yield "receiver", program
        yield "sender", program
    yield from _events()


def _events() -> Iterator[tuple[str, bytes]]:
    envelope = {
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "kind": "hold.released",
        "version": 1,
        "key": "k",
        "occurred_at_us": 1,
        "correlation_id": "c",
        "payload": {"hold_id": "h"},
    }
    changes: tuple[dict[str, object], ...] = (
        {},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"version": 2**64 - 1},
        {"occurred_at_us": -1},
        {"kind": "kind.of.tomorrow"},
        {"a_field_of_tomorrow": {"nested": [1]}},
        {"payload": [1]},
        {"id": "01890A5D-AC96-774B-BCCE-B302099A8057"},
        {"key": "k" * 65},
        {"key": "\0"},
    )
    for change in changes:
        yield "envelopes", msgpack.packb(envelope | change)
    for kind in range(14):
        yield "payloads", bytes([kind]) + msgpack.packb({"hold_id": "h", "order_id": "o"})
        yield "payloads", bytes([kind]) + b"\x91" * 200
