"""The same targets under hypothesis: programs of whole steps, which random bytes seldom are."""

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.program import Op, Start, Step, read, write
from tests.fuzz.targets import TARGETS, envelopes, frames, messages, payloads

starts = st.builds(Start, st.integers(0, 3), st.booleans(), st.booleans(), st.booleans())
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
tags = st.sampled_from(["hello", "welcome", "events", "ack", "ping", "pong", "refuse", "goodbye", "else"])
packed = st.tuples(tags, st.lists(values, max_size=8)).map(lambda said: bytes(msgpack.packb([said[0], *said[1]])))
steps = st.one_of(
    st.builds(Step, st.just(Op.SAY), st.integers(0, 12), st.integers(0, 255)),
    st.builds(Step, st.just(Op.ACT), st.integers(0, 3), st.integers(0, 255)),
    st.builds(Step, st.sampled_from([Op.TIME, Op.LINE, Op.TAKE, Op.CUT]), st.integers(0, 31)),
    st.builds(Step, st.just(Op.FRAME), st.just(0), data=st.binary(max_size=60) | packed),
    st.builds(Step, st.just(Op.RAW), st.just(31), data=st.binary(max_size=60)),
)


@pytest.mark.parametrize("role", ["receiver", "sender"])
@settings(max_examples=300)
@given(start=starts, said=st.lists(steps, max_size=25))
def test_a_session_keeps_its_laws_whatever_happens(role: str, start: Start, said: list[Step]) -> None:
    TARGETS[role](write(start, *said))


@given(start=starts, said=st.lists(steps, max_size=25))
def test_a_program_is_read_as_it_was_written(start: Start, said: list[Step]) -> None:
    again, more = read(write(start, *said))
    assert (again, [(step.op, step.arg, step.data) for step in more]) == (
        start,
        [(step.op, step.arg, step.data) for step in said],
    )


@given(st.binary(max_size=300))
def test_frames_are_those_of_a_reader_that_has_everything_at_once(data: bytes) -> None:
    frames(data)


@given(st.binary(max_size=100) | packed)
def test_a_message_is_taken_exactly_when_the_document_says_so(body: bytes) -> None:
    messages(body)


@given(st.binary(max_size=100) | values.map(msgpack.packb))
def test_bytes_are_an_event_or_no_event(body: bytes) -> None:
    envelopes(body)


@given(st.integers(0, 13), st.dictionaries(st.sampled_from(["hold_id", "order_id", "lines", "reason"]), values))
def test_a_payload_has_its_shape_or_is_refused(kind: int, payload: dict[str, object]) -> None:
    payloads(bytes([kind]) + msgpack.packb(payload))
