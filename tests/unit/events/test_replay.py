"""Positions and requests as bytes; the names of lanes."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketflow.events import BadEvent, decode, encode, payload_of
from ticketflow.events.replay import (
    REQUEST_BYTES_MAX,
    Rewind,
    Standing,
    StreamPosition,
    decode_request,
    encode_request,
    position_event,
    position_of,
)

COUNTS = st.integers(0, 2**63 - 1)


@given(COUNTS, COUNTS, COUNTS)
def test_a_request_arrives_as_it_was_sent(epoch: int, watermark: int, highest: int) -> None:
    standing = Standing(stream="billing.1", epoch=epoch, watermark=watermark, highest=highest)
    rewind = Rewind(stream="billing.1", epoch=epoch, watermark=watermark, ahead=True)

    assert decode_request(encode_request(standing)) == standing
    assert decode_request(encode_request(rewind)) == rewind


@given(st.binary(max_size=REQUEST_BYTES_MAX + 100))
def test_no_bytes_make_it_raise_anything_else(body: bytes) -> None:
    with pytest.raises(BadEvent):
        decode_request(body)


@given(COUNTS, COUNTS, st.lists(st.tuples(COUNTS, COUNTS), max_size=16))
def test_a_position_travels_as_an_event_that_others_ignore(epoch: int, last: int, forks: list[tuple[int, int]]) -> None:
    position = StreamPosition(stream="billing", epoch=epoch, last_seq=last, forks=forks, resumed_after=3)

    event = decode(encode(position_event(position)))

    assert position_of(event) == position
    assert payload_of(event) is None, "to a portal that does not know it, it is a kind of the future"


def test_a_position_of_another_shape_is_refused() -> None:
    event = position_event(StreamPosition(stream="billing", epoch=1, last_seq=1))
    event = msgspec.structs.replace(event, payload=msgspec.Raw(msgspec.msgpack.encode({"stream": "billing"})))

    with pytest.raises(BadEvent, match=r"stream\.position"):
        position_of(event)
