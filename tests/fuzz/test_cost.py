"""What bytes may cost: memory within the cap, and work in proportion to their number.

Work is counted in steps of Python code, not in seconds: the count is the same on a busy machine.
"""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import msgpack
import pytest

from tests.fuzz.ends import End, framed
from tests.fuzz.program import Start
from ticketflow import events
from ticketflow.feed.errors import RemoteProtocolError
from ticketflow.feed.limits import EVENTS_PER_FRAME_MAX, FRAME_BYTES_MAX, SMALL_BYTES_MAX
from ticketflow.feed.messages import decode
from ticketflow.feed.states import Role

KIB = 1024
STREAMING = Start(2, small=False, forgetful=False, by_peer=False)
NEW = Start(0, small=False, forgetful=False, by_peer=False)


@contextmanager
def allocations() -> Iterator[Callable[[], int]]:
    """Inside, the function given tells the most bytes that were allocated at any moment since the beginning."""
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def lines_run(act: Callable[[], Any]) -> int:
    """How many lines of Python ``act`` runs."""
    count = 0

    def trace(frame: FrameType, what: str, _arg: Any) -> Any:
        nonlocal count
        count += what == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def drip(end: End, data: bytes, cut: int) -> None:
    for at in range(0, len(data), cut):
        end.arrive(data[at : at + cut])


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x03\xfc" + bytes(1019),
        b"\xff\xff\xff\xff" + bytes(1000),
        b"\x00\x04\x00\x00" + bytes(1000),
        framed(b"\x93\xa6events\x01\xdd\xff\xff\xff\xff"),
        framed(b"\xdd\xff\xff\xff\xff\xa5hello"),
        framed(b"\x97\xa5hello\x01\xdb\xff\xff\xff\xff"),
        framed(b"\x98\xa5hello\x01\xa1r\x01\x01\x01\xa1m" + b"\xdd\x7f\xff\xff\xff" * 4),
        framed(b"\x91" * SMALL_BYTES_MAX),
    ],
    ids=["half-a-frame", "4-GiB", "256-KiB", "4-G-events", "4-G-elements", "4-GiB-name", "4-G-unknown", "nested"],
)
def test_before_hello_a_stranger_makes_us_hold_no_more_than_a_few_kilobytes(data: bytes) -> None:
    end = End(Role.RECEIVER, NEW)
    drip(end, data, 100)  # whatever is imported or cached at first use is not the stranger's cost
    end = End(Role.RECEIVER, NEW)
    with allocations() as most:
        drip(end, data, 100)
        end.take()
        assert most() < 16 * KIB


@pytest.mark.parametrize("announced", [[b"x"] * EVENTS_PER_FRAME_MAX, [b"x" * 262_000], [b"x" * 255] * 1000])
def test_a_frame_of_the_largest_size_costs_a_small_multiple_of_it(announced: list[bytes]) -> None:
    frame = framed(msgpack.packb(["events", 6, announced]))
    end = End(Role.RECEIVER, STREAMING)
    with allocations() as most:
        drip(end, frame, 16 * KIB)
        assert most() < 4 * FRAME_BYTES_MAX, "the buffer, which doubles, the frame cut out of it, the events"
    assert len(end.unacked) == 1


@pytest.mark.parametrize("message", [["ping", 1], ["events", 6, [b"x"]], ["pong", 1], ["ack", 5]])
def test_a_peer_that_says_the_same_for_ever_and_reads_nothing_costs_a_bounded_amount(message: list[Any]) -> None:
    frame = framed(msgpack.packb(message))
    end = End(Role.RECEIVER, STREAMING)
    with allocations() as most:
        for _ in range(100):  # 20 s of 500 frames a second
            drip(end, frame * 100, 1000)
            end.now += 0.2
        assert most() < 64 * KIB


@pytest.mark.parametrize("events_sent", [10_000])
def test_a_sender_that_floods_is_cut_off_at_the_window(events_sent: int) -> None:
    end = End(Role.RECEIVER, STREAMING)
    body = b"x" * 2000
    with allocations() as most:
        for seq in range(6, 6 + events_sent):
            end.arrive(framed(msgpack.packb(["events", seq, [body]])))
        assert most() < 2 * end.core.limits.window_bytes
    assert str(end.core.error).startswith("window_exceeded")


HARD = {
    "one long frame": framed(msgpack.packb(["events", 6, [b"x" * 200_000]])),
    "one frame of many events": framed(msgpack.packb(["events", 6, [b"x"] * 1024])),
    "many small frames": framed(msgpack.packb(["pong", 1])) * 2000,
    "a name of 4 GiB, announced": framed(b"\x97\xa5hello\x01\xdb\xff\xff\xff\xff" + bytes(900)),
    "elements that are not known": framed(msgpack.packb(["hello", 1, "r", 1, 1, 1, "m", [0] * 900])),
    "deeply nested": framed(b"\x98\xa5hello\x01\xa1r\x01\x01\x01\xa1m" + b"\x91" * 900),
    "nothing but empty arrays": framed(b"\x98\xa5hello\x01\xa1r\x01\x01\x01\xa1m\xdc\x03\x80" + b"\x90" * 896),
}
LINES_PER_BYTE = 30  # a frame of 4 + 7 bytes runs some 60 lines, one element of a stranger's HELLO some 12 for its byte
LINES_PER_CALL = 60


@pytest.mark.parametrize("what", HARD)
@pytest.mark.parametrize("cut", [1, 7, 100_000])
@pytest.mark.parametrize("start", [NEW, STREAMING], ids=["new", "streaming"])
def test_work_is_in_proportion_to_the_bytes(what: str, cut: int, start: Start) -> None:
    data = HARD[what][: 20_000 if cut < 100 else None]
    end = End(Role.RECEIVER, start)
    lines = lines_run(lambda: drip(end, data, cut))
    calls = -(-len(data) // cut)
    assert lines <= LINES_PER_BYTE * len(data) + LINES_PER_CALL * calls + 1000


def test_a_long_frame_that_comes_in_single_bytes_is_held_once() -> None:
    end = End(Role.RECEIVER, STREAMING)
    data = HARD["one long frame"]
    end.arrive(data[:-5000])
    with allocations() as most:
        drip(end, data[-5000:], 1)
        assert most() < 4 * FRAME_BYTES_MAX
    assert len(end.unacked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa2id\xdb\xff\xff\xff\xff",
        b"\x81\xa7payload\xdd\x7f\xff\xff\xff",
        b"\x91" * 64_000,
        b"\x81\xa7payload" + b"\x81\xa1a" * 20_000,
        msgpack.packb({"payload": [0] * 60_000}),
    ],
    ids=["4-G-pairs", "4-GiB-id", "4-G-elements", "nested-lists", "nested-maps", "a-long-list"],
)
def test_bytes_that_are_no_event_cost_no_more_than_themselves(body: bytes) -> None:
    with pytest.raises(events.BadEvent):
        events.decode(body)
    with allocations() as most, pytest.raises(events.BadEvent):
        events.decode(body)
    with allocations() as most:
        with suppress(events.BadEvent):
            events.decode(body)
        assert most() < 2 * len(body) + 8 * KIB


def test_a_body_is_refused_before_its_lists_are_built() -> None:
    body = b"\x93\xa6events\x01\xdd\x00\x0f\xff\xff" + b"\xc4\x01x" * 87_000
    with allocations() as most:
        with pytest.raises(RemoteProtocolError):
            decode(body)
        assert most() < 16 * FRAME_BYTES_MAX
