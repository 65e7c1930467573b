"""Messages are plain msgpack: what `msgpack` packs we read, and what we write `msgpack` reads."""

from typing import Any

import msgpack
import pytest

from ticketflow.feed.errors import Code, RemoteProtocolError
from ticketflow.feed.limits import EVENTS_PER_FRAME_MAX, FORKS_MAX, REASON_CHARS_MAX, SEQ_MAX, SMALL_BYTES_MAX
from ticketflow.feed.messages import (
    Ack,
    Events,
    Goodbye,
    Hello,
    Message,
    Ping,
    Pong,
    Refuse,
    Welcome,
    clip,
    decode,
    encode,
)

HELLO = ["hello", 1, "reservation", 2, 3, 4, "relay-1"]
HELLO_9 = ["hello", 1, "reservation", 9, 3, 4, "relay-1"]
WELCOME = ["welcome", 1, 2, 4, 2048, 2097152, 2000, 6000, "billing-1"]

EACH: list[tuple[Message, list[Any]]] = [
    (Hello(1, "reservation", 2, 3, 4, "relay-1"), HELLO),
    (Hello(1, "reservation", 9, 3, 4, "relay-1", ((2, 40), (5, 0))), [*HELLO_9, [[2, 40], [5, 0]]]),
    (Welcome(1, 2, 4, 2048, 2097152, 2000, 6000, "billing-1"), WELCOME),
    (
        Welcome(1, None, None, 1, 262144, 2000, 6000, "bridge"),
        ["welcome", 1, None, None, 1, 262144, 2000, 6000, "bridge"],
    ),
    (Events(7, [b"a", b"bc"]), ["events", 7, [b"a", b"bc"]]),
    (Ack(8), ["ack", 8]),
    (Ping(1), ["ping", 1]),
    (Pong(1), ["pong", 1]),
    (Refuse("gap", "expected 7", None), ["refuse", "gap", "expected 7", None]),
    (Refuse("unavailable", "", 500), ["refuse", "unavailable", "", 500]),
    (Goodbye("shutting down"), ["goodbye", "shutting down"]),
]


@pytest.mark.parametrize(("message", "plain"), EACH)
def test_what_we_write_a_stranger_reads(message: Message, plain: list[Any]) -> None:
    assert msgpack.unpackb(encode(message)) == plain


@pytest.mark.parametrize(("message", "plain"), EACH)
def test_what_a_stranger_writes_we_read(message: Message, plain: list[Any]) -> None:
    assert decode(msgpack.packb(plain)) == message


def test_integers_of_any_width_are_the_same_message() -> None:
    assert decode(b"\x92\xa3ack\xcf" + (8).to_bytes(8, "big")) == Ack(8)


@pytest.mark.parametrize("plain", [[*HELLO, []], [*HELLO_9, [[2, 40]]], WELCOME])
@pytest.mark.parametrize("more", [["new"], [1, None, {"a": [1]}], [[[[5]]]]])
def test_a_newer_handshake_may_say_more(plain: list[Any], more: list[Any]) -> None:
    assert decode(msgpack.packb([*plain, *more])) == decode(msgpack.packb(plain))


@pytest.mark.parametrize(
    "plain",
    [
        None,
        5,
        "hello",
        {},
        {"hello": 1},
        [],
        ["hello"],
        ["olleh", 1],
        [b"ack", 1],
        [3, 1],
        [["ack"], 1],
        # hello
        ["hello", 0, "reservation", 1, 1, 1, "me"],
        ["hello", 1, "", 1, 1, 1, "me"],
        ["hello", 1, "Reservation", 1, 1, 1, "me"],
        ["hello", 1, "reser\nvation", 1, 1, 1, "me"],
        ["hello", 1, "reservation\n", 1, 1, 1, "me"],
        ["hello", 1, "r" * 65, 1, 1, 1, "me"],
        ["hello", 1, "reservation", -1, 1, 1, "me"],
        ["hello", 1, "reservation", 1, SEQ_MAX + 1, 1, "me"],
        ["hello", 1, "reservation", 1, 1, 1, ""],
        ["hello", 1, "reservation", 1, 1, 1, "m" * 65],
        ["hello", 1, "reservation", 1, 1, None, "me"],
        ["hello", 1, "reservation", 1, 1, 1.0, "me"],
        ["hello", 1, "reservation", 1, 1, True, "me"],
        [*HELLO, None],
        [*HELLO_9, "forks"],
        [*HELLO_9, [5]],
        [*HELLO_9, [[5]]],
        [*HELLO_9, [[5, 1, 1]]],
        [*HELLO_9, [[5, -1]]],
        [*HELLO_9, [[5, True]]],
        [*HELLO_9, [[5, SEQ_MAX + 1]]],
        [*HELLO_9, [[9, 1]]],
        [*HELLO_9, [[5, 1], [5, 2]]],
        [*HELLO_9, [[6, 1], [5, 2]]],
        ["hello", 1, "reservation", 99, 3, 4, "me", [[n, 1] for n in range(FORKS_MAX + 1)]],
        [*HELLO, [], [[[[[5]]]]]],
        [*HELLO, [], msgpack.ExtType(1, b"x")],
        [*WELCOME, msgpack.Timestamp(1)],
        # welcome
        ["welcome", 1, 2, 4, 0, 2097152, 2000, 6000, "b"],
        ["welcome", 1, 2, 4, 1, 262143, 2000, 6000, "b"],
        ["welcome", 1, 2, 4, 1, 262144, 0, 6000, "b"],
        ["welcome", 1, 2, 4, 1, 262144, 6000, 6000, "b"],
        # events
        ["events", 0, [b"a"]],
        ["events", 1, []],
        ["events", 1, [b""]],
        ["events", 1, ["text"]],
        ["events", 1, [[b"a"]]],
        ["events", 1, b"a"],
        ["events", 1, [b"a"], 1],
        ["events", 1, [b"a"] * (EVENTS_PER_FRAME_MAX + 1)],
        # the rest
        ["ack"],
        ["ack", 1, 2],
        ["ack", "1"],
        ["ping", -1],
        ["pong", None],
        ["refuse", "GAP", "x", None],
        ["refuse", "gap", "x" * (REASON_CHARS_MAX + 1), None],
        ["refuse", "gap", "x"],
        ["refuse", "gap", "x", 600_001],
        ["goodbye", 5],
    ],
)
def test_what_has_another_shape_is_refused(plain: Any) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        decode(msgpack.packb(plain))
    assert refused.value.code == Code.BAD_MESSAGE
    assert len(refused.value.reason) <= REASON_CHARS_MAX


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x92\xa3ack",
        b"\x92\xa3ack\x01\x01",
        b"\x92\xa3ack\xd3" + b"\xff" * 8,
        b"\x97\xa5hello\x01\xa2\xff\xfe\x01\x01\x01\xa1m",
        b"\x93\xa6events\x01\xdd\xff\xff\xff\xff",
        b"\x93\xa6events\x01\x91\xc6\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff\xa3ack",
        b"\x91" * 1000 + b"\xc0",
        b"\x91" * 200_000 + b"\xc0",
        b"\x98\xa5hello\x01\xa1r\x01\x01\x01\xa1m" + b"\x91" * 900 + b"\xc0",
        b"\x98\xa5hello\x01\xa1r\x01\x01\x01\xa1m" + b"\x91" * 200_000 + b"\xc0",
        b"\x93\xa6events\x01" + b"\x91" * 200_000 + b"\xc0",
    ],
)
def test_bytes_that_are_no_message_are_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        decode(body)
    assert refused.value.code == Code.BAD_MESSAGE


def test_only_events_may_be_large() -> None:
    assert decode(msgpack.packb(["events", 1, [b"x" * 2000]]))
    with pytest.raises(RemoteProtocolError) as refused:
        decode(msgpack.packb([*HELLO, [], b"x" * 2000]))
    assert refused.value.code == Code.FRAME_TOO_LARGE


def test_events_know_their_last_seq_and_log_without_their_bodies() -> None:
    events = Events(7, [b"secret", b"more"])
    assert events.last_seq == 8
    assert str(events) == "Events(7..8, 10 bytes)"


def test_a_reason_is_cut_to_what_fits() -> None:
    assert clip("short") == "short"
    assert len(clip("ß" * 500)) == REASON_CHARS_MAX
    assert len(encode(Refuse("internal", clip("𝄞" * 500), None))) <= 1020


def test_the_longest_hello_fits_its_frame() -> None:
    forks = tuple((SEQ_MAX - 100 + n, SEQ_MAX) for n in range(FORKS_MAX))
    longest = Hello(65535, "r" * 64, SEQ_MAX, SEQ_MAX, SEQ_MAX, "\U0001f3ab" * 64, forks)
    assert len(encode(longest)) <= SMALL_BYTES_MAX
    assert decode(encode(longest)) == longest
