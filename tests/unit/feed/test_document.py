"""docs/feed-protocol.md says what the code does: its bytes, its limits, its codes."""

import re
from typing import Any

import msgpack
import pytest

from tests.unit.feed.document import EXAMPLES, TEXT
from ticketflow.feed import EVENT_BYTES_MAX, Code, Limits
from ticketflow.feed.frames import FrameReader, write_frame
from ticketflow.feed.limits import (
    COURTESIES_PER_SECOND,
    EVENTS_PER_FRAME_MAX,
    FRAME_BYTES_MAX,
    NESTING_MAX,
    REASON_CHARS_MAX,
    SMALL_BYTES_MAX,
)
from ticketflow.feed.messages import MESSAGES, append, decode


@pytest.mark.parametrize(("said", "wire"), EXAMPLES)
def test_each_example_is_what_msgpack_and_we_produce_byte_for_byte(said: list[Any], wire: bytes) -> None:
    body = msgpack.packb(said)
    assert wire == len(body).to_bytes(4, "big") + body
    reader = FrameReader(FRAME_BYTES_MAX)
    reader.feed(wire)
    ours = bytearray()
    write_frame(ours, append, decode(reader.next() or b""))
    assert bytes(ours) == wire


def test_there_is_an_example_of_every_message() -> None:
    shown = {said[0] for said, _ in EXAMPLES}
    assert shown == {message.__name__.lower() for message in MESSAGES}


@pytest.mark.parametrize("code", Code)
def test_every_code_has_its_line(code: Code) -> None:
    assert re.search(rf"^\| `{code}` \| (both|receiver|sender) \|", TEXT, re.MULTILINE)


def test_no_code_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| (?:both|receiver|sender) \|", TEXT, re.MULTILINE)) == set(Code)


def test_the_limits_are_those_of_the_code() -> None:
    ours = Limits()
    for line in (
        f"| body of an EVENTS frame / of any other | {FRAME_BYTES_MAX} / {SMALL_BYTES_MAX} bytes |",
        f"| event | 1 to {EVENT_BYTES_MAX} bytes |",
        f"| events in a frame | 1 to {EVENTS_PER_FRAME_MAX} |",
        f"64 / 64 / 32 / {REASON_CHARS_MAX} characters",
        f"| nesting of unknown elements in HELLO and WELCOME | {NESTING_MAX} |",
        f"| window (ours) | {ours.window_events} events, {ours.window_bytes} bytes |",
        f"| answers to PINGs | {COURTESIES_PER_SECOND} a second |",
        f"| connections (ours) | {ours.connections_max} in all, {ours.connections_per_peer_max} an address |",
        f"| HELLO complete, from the connection on | {ours.hello_timeout_s:.0f} s |",
        f"| a frame, from its first byte to its last | {ours.frame_timeout_s:.0f} s |",
        f"| WELCOME, from the connection on | {ours.welcome_timeout_s:.0f} s |",
        f"every `ping_interval_ms` ({ours.ping_interval_s:.0f} s)",
        f"`idle_timeout_ms` ({ours.idle_timeout_s:.0f} s)",
    ):
        assert line in TEXT
