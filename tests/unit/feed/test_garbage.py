"""Whatever a peer sends, in whatever state: the protocol ends the session with a code, or goes on. It never raises."""

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.feed.link import HELLO, Wire, end_of, framed
from ticketflow.feed.errors import FeedError
from ticketflow.feed.limits import SEQ_MAX
from ticketflow.feed.messages import (
    Ack,
    Events,
    Goodbye,
    Message,
    Ping,
    Pong,
    Refuse,
    Welcome,
    decode,
)
from ticketflow.feed.protocol import Ended, Event, Protocol
from ticketflow.feed.states import State

counts = st.integers(0, 12) | st.just(SEQ_MAX)
messages: st.SearchStrategy[Message] = st.one_of(
    st.just(HELLO),
    st.builds(
        Welcome, st.integers(1, 3), counts, counts, st.just(4), st.just(262144), st.just(50), st.just(60), st.just("r")
    ),
    st.builds(
        Events, counts.map(lambda seq: max(seq, 1)), st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=6)
    ),
    st.builds(Ack, counts),
    st.builds(Ping, counts),
    st.builds(Pong, counts),
    st.builds(Refuse, st.sampled_from(["gap", "from_the_future"]), st.text(max_size=9), st.none() | st.integers(0, 9)),
    st.builds(Goodbye, st.text(max_size=9)),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=10,
)
tags = st.sampled_from(["hello", "welcome", "events", "ack", "ping", "pong", "refuse", "goodbye", "else"])
nearly = st.tuples(tags, st.lists(anything, max_size=8)).map(lambda pair: msgpack.packb([pair[0], *pair[1]]))
chunks = st.one_of(
    st.binary(max_size=60),
    messages.map(framed),
    nearly.map(lambda body: len(body).to_bytes(4, "big") + body),
)


def ends(state: str) -> list[Protocol]:
    """Both ends in ``state``."""
    wire = Wire()
    if state == "greeted":
        wire.cross()
    elif state != "new":
        wire.open()
        wire.send(1, b"a", b"b")
    if state == "finishing":
        wire.sender.goodbye("done")
        wire.cross()
    return [wire.sender, wire.receiver]


def sane(end: Protocol, events: list[Event]) -> None:
    """The laws that hold after anything."""
    if end.state is State.CLOSED:
        assert isinstance(end.error, FeedError)
        assert isinstance(events[-1], Ended)
    assert sum(isinstance(event, Ended) for event in events) == (end.state is State.CLOSED)
    data = end.data_to_send()
    while data:  # all that it says is well-formed
        length = int.from_bytes(data[:4], "big")
        assert decode(data[4 : 4 + length])
        data = data[4 + length :]
    deadline = end.next_deadline()
    assert (deadline is None) == (end.state in (State.CLOSED,)) or end.state is State.GREETED


@pytest.mark.parametrize("state", ["new", "greeted", "streaming", "finishing"])
@settings(max_examples=150)
@given(data=st.lists(chunks, max_size=8), steps=st.lists(st.floats(0, 3), min_size=8, max_size=8))
def test_arbitrary_input_never_raises(state: str, data: list[bytes], steps: list[float]) -> None:
    for end in ends(state):
        now, events = 1000.0, list[Event]()
        for chunk, step in zip(data, steps, strict=False):
            events += end.receive(chunk, now)
            now += step
            events += end.tick(now)
        sane(end, events)


@given(st.lists(messages, max_size=10))
def test_a_well_formed_conversation_means_the_same_in_any_cut(conversation: list[Message]) -> None:
    data = b"".join(map(framed, conversation))
    outcomes = []
    for step in (len(data) or 1, 1, 3):
        end = Wire().open().receiver
        events: list[Event] = []
        for start in range(0, len(data), step):
            events += end.receive(data[start : start + step], 1000.0)
        outcomes.append(
            ([str(event) for event in events if not isinstance(event, Ended)], str(end.error), end.data_to_send())
        )
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "frame_too_large"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "frame_too_large"),
        (b"\x00\x00\x00\x00", "bad_frame"),
        (b"\x00\x00\x00\x05hello", "bad_message"),
        (b"\x00\x00\x03\xe8" + b"\x91" * 1000, "bad_message"),
    ],
)
def test_strangers_are_refused_with_a_code(data: bytes, code: str) -> None:
    receiver = Wire().receiver
    end_of(receiver.receive(data, 1000.0))
    refusal = decode(receiver.data_to_send()[4:])
    assert isinstance(refusal, Refuse)
    assert refusal.code == code
