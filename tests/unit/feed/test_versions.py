"""Ends of different versions of the protocol, the newer one with more to say in HELLO and WELCOME."""

from typing import Any

import msgpack
import pytest

from tests.unit.feed.link import HELLO, Wire, end_of
from ticketflow.feed.errors import RemoteProtocolError
from ticketflow.feed.messages import Events, Hello, Welcome
from ticketflow.feed.receiving import Position

LATER = [{"lanes": [1, [2]], 3: None}, 1.5, True, "zone-b", b"\x00" * 700]  # within 1020 bytes, within four levels


def framed(*message: Any) -> bytes:
    body = bytes(msgpack.packb(message))
    return len(body).to_bytes(4, "big") + body


def said(data: bytes | bytearray) -> list[Any]:
    """The first message in ``data``."""
    return list(msgpack.unpackb(data[4 : 4 + int.from_bytes(data[:4], "big")]))


@pytest.mark.parametrize("version", [1, 2, 65535])
def test_a_newer_sender_is_answered_in_version_1_and_its_events_are_taken(version: int) -> None:
    receiver = Wire().receiver
    # What the present version knows of HELLO stays as it is; only what lies behind that is new.
    known = list(msgpack.unpackb(msgpack.packb(_fields(HELLO))))
    [hello] = receiver.receive(framed("hello", version, *known[1:], *LATER), 1000.0)
    assert isinstance(hello, Hello)
    receiver.welcome(Position(1, 0), 1000.0)
    assert said(bytes(receiver.data_to_send()))[:2] == ["welcome", 1]
    [events] = receiver.receive(framed("events", 1, [b"a"]), 1000.0)
    assert isinstance(events, Events)


def test_a_newer_receiver_that_answers_in_version_1_is_sent_to() -> None:
    sender = Wire().sender
    sender.data_to_send()
    welcome = framed("welcome", 1, 1, 0, 4, 262144, 2000, 6000, "billing-1", *LATER)
    [event] = sender.receive(welcome, 1000.0)
    assert isinstance(event, Welcome)
    assert sender.offer(1, [b"a"], 0, 1000.0) == 1
    assert said(bytes(sender.data_to_send())) == ["events", 1, [b"a"]]


def test_a_receiver_that_answers_in_a_version_above_ours_is_refused() -> None:
    sender = Wire().sender
    sender.data_to_send()
    error = end_of(sender.receive(framed("welcome", 2, 1, 0, 4, 262144, 2000, 6000, "billing-1"), 1000.0))
    assert isinstance(error, RemoteProtocolError)
    assert error.code == "version_unsupported"


def _fields(hello: Hello) -> list[Any]:
    return [getattr(hello, name) for name in hello.__struct_fields__]
