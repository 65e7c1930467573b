"""AMQP's frames and contents, against pamqp: what we write others read, and what others write we read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, frame, header
from pamqp.common import FieldTable

from ticketflow.runtime import amqp_content as content
from ticketflow.runtime.amqp_frames import (
    BODY,
    FRAME_BYTES_MAX,
    HEADER,
    HEARTBEAT,
    HEARTBEAT_FRAME,
    METHOD,
    PROTOCOL_HEADER,
    Frame,
    Malformed,
    Splitter,
    framed,
    marshalled,
    method_of,
)
from ticketflow.runtime.amqp_message import Outgoing

NAMES = st.text(st.characters(codec="utf-8"), max_size=30)  # 120 bytes: beyond 128 pamqp cuts names
HEADERS = st.dictionaries(NAMES, NAMES | st.integers(-(2**63), 2**63 - 1), max_size=8)


def read(data: bytes) -> list[frame.FrameTypes]:
    """By pamqp, to the last byte."""
    found = []
    while data:
        size, channel, each = frame.unmarshal(data)
        assert channel == 7
        found.append(each)
        data = data[size:]
    return found


def outgoing(headers: dict[str, str | int] | None = None, payload: bytes = b"text", key: str = "a.b") -> Outgoing:
    return Outgoing("things", key, headers or {}, payload)


def written(message: Outgoing, frame_max: int = FRAME_BYTES_MAX) -> list[frame.FrameTypes]:
    return read(content.published(message, b"id-1", 7, frame_max))


# -- publishing


@given(exchange=NAMES, key=NAMES, headers=HEADERS, payload=st.binary(max_size=100))
def test_what_is_published_is_what_others_read(exchange: str, key: str, headers: FieldTable, payload: bytes) -> None:
    publish, head, *rest = written(Outgoing(exchange, key, headers, payload))  # type: ignore[arg-type]

    assert isinstance(publish, commands.Basic.Publish)
    assert (publish.exchange, publish.routing_key, publish.mandatory, publish.immediate) == (exchange, key, True, False)
    assert isinstance(head, header.ContentHeader)
    properties = head.properties
    assert (head.body_size, properties.headers, properties.delivery_mode) == (len(payload), headers, 2)
    assert (properties.message_id, properties.content_type) == ("id-1", "application/msgpack")
    assert b"".join(each.value for each in rest if isinstance(each, body.ContentBody)) == payload


@pytest.mark.parametrize(
    ("size", "frames"), [(0, []), (1, [1]), (4088, [4088]), (4089, [4088, 1]), (9000, [4088, 4088, 824])]
)
def test_a_body_is_cut_at_the_size_that_was_agreed(size: int, frames: list[int]) -> None:
    payload = bytes(n % 251 for n in range(size))
    bodies = [each.value for each in written(outgoing(payload=payload), 4096) if isinstance(each, body.ContentBody)]

    assert [len(each) for each in bodies] == frames
    assert b"".join(bodies) == payload


def test_a_name_without_a_form_on_the_wire_is_an_error() -> None:
    with pytest.raises(ValueError, match="256 bytes"):
        content.published(outgoing(key="k" * 256), b"id", 1, 4096)


def test_half_a_surrogate_pair_in_a_header_is_no_obstacle() -> None:
    [_, head, _] = written(outgoing({"reason": "\ud800!"}))
    assert isinstance(head, header.ContentHeader)
    assert head.properties.headers == {"reason": "?!"}


# -- what arrives


def as_header(headers: FieldTable, **more: str) -> bytes:
    properties = commands.Basic.Properties(headers=headers, **more)  # type: ignore[arg-type]
    return frame.marshal(header.ContentHeader(0, 5, properties), 1)[7:-1]


@given(HEADERS)
def test_headers_of_others_are_read(headers: FieldTable) -> None:
    found = content.header_of(as_header(headers, content_type="text/plain", content_encoding="gzip", message_id="m"))
    assert (found.body_bytes, found.headers) == (5, headers)


def test_tables_of_every_kind_are_read() -> None:
    headers: FieldTable = {"x-death": [{"count": 3, "queue": "box"}], "on": True, "x-delivery-count": 2, "none": None}
    assert content.header_of(as_header(headers)).headers == headers


def test_headers_that_make_no_sense_are_none() -> None:
    good = as_header({"name": "text"})
    assert content.header_of(good.replace(b"S\x00\x00\x00\x04", b"?\x00\x00\x00\x04")).headers == {}
    assert content.header_of(good.replace(b"name", b"\xff\xfe\xff\xfe")).headers == {}
    assert content.header_of(as_header({})).headers == {}


def test_a_delivery_is_read() -> None:
    method = commands.Basic.Deliver("ctag", 2**40, True, "things", "a.b")
    payload = frame.marshal(method, 1)[7:-1]

    assert content.delivered(payload) == (2**40, True, "a.b")
    for end in range(4, len(payload) - 4):
        with pytest.raises(Malformed):
            content.delivered(payload[:end])


@pytest.mark.parametrize("multiple", [True, False])
def test_confirms_are_read(multiple: bool) -> None:
    for method in (commands.Basic.Ack(9, multiple), commands.Basic.Nack(9, multiple, False)):
        payload = frame.marshal(method, 1)[7:-1]
        assert content.settled(payload) == (9, multiple)
        assert int.from_bytes(payload[:4]) in (content.ACK, content.NACK)
    with pytest.raises(Malformed):
        content.settled(payload[:9])


def test_an_ack_of_ours_is_read_by_others() -> None:
    [ack] = read(content.acknowledged(2**33, 7))
    assert isinstance(ack, commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (2**33, True)


def test_the_message_id_of_what_came_back_is_found() -> None:
    assert content.message_id_of(as_header({"n": 1}, message_id="id-7")) == "id-7"
    assert content.message_id_of(as_header({"n": 1})) == ""
    assert content.message_id_of(b"\x00") == ""


# -- frames


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_frames_come_out_as_they_went_in_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    kinds = [METHOD, HEADER, BODY]
    frames = [Frame(kinds[n % 3], n, payload) for n, payload in enumerate(payloads)]
    data = b"".join(framed(*each) for each in frames)
    splitter, found, at = Splitter(), list[Frame](), 0
    while at < len(data):
        cut = cuts[at % len(cuts)]
        found += splitter.feed(data[at : at + cut])
        at += cut

    assert found == frames


def test_a_heartbeat_is_a_frame() -> None:
    assert Splitter().feed(HEARTBEAT_FRAME) == [Frame(HEARTBEAT, 0, b"")]


@pytest.mark.parametrize(
    "data",
    [
        PROTOCOL_HEADER,  # the answer to a version that it does not speak
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x03\x00\x01\x00\x00\x00\x01xx",
        b"\x03\x00\x01\x00\x01\xff\xf9" + bytes(8),
        b"\x03\x00\x01\xff\xff\xff\xff" + bytes(8),
    ],
    ids=["protocol header", "HTTP", "no end", "one byte too large", "huge"],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Splitter(131_072).feed(data)


def test_methods_that_are_rare_go_by_pamqp() -> None:
    data = marshalled(commands.Connection.Blocked("memory"), 0)
    [only] = Splitter().feed(data)
    method = method_of(only.payload)
    assert isinstance(method, commands.Connection.Blocked)
    assert method.reason == "memory"
    with pytest.raises(Malformed):
        method_of(b"\x7f\xff\x7f\xff")
