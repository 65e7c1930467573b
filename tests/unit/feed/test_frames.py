"""Writing a frame yields bytes; reading bytes, in any cut, yields the frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketflow.feed.errors import Code, RemoteProtocolError
from ticketflow.feed.frames import FrameReader, write_frame

bodies = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def _append(body: bytes, out: bytearray) -> None:
    out += body


def framed(*parts: bytes) -> bytes:
    out = bytearray()
    for body in parts:
        write_frame(out, _append, body)
    return bytes(out)


def drain(reader: FrameReader) -> list[bytes]:
    found = []
    while (body := reader.next()) is not None:
        found.append(bytes(body))
    return found


def test_a_frame_is_its_length_and_its_body() -> None:
    assert framed(b"abc") == b"\x00\x00\x00\x03abc"


@given(bodies, st.lists(st.integers(min_value=1, max_value=50), max_size=60))
def test_the_cut_does_not_matter(parts: list[bytes], cuts: list[int]) -> None:
    stream = framed(*parts)
    reader = FrameReader(300)
    found = []
    for cut in [*cuts, len(stream)]:
        reader.feed(stream[:cut])
        stream = stream[cut:]
        found += drain(reader)
    assert found == parts
    assert not reader.partial


def test_a_frame_may_come_byte_by_byte() -> None:
    reader = FrameReader(10)
    found = []
    for index in range(len(framed(b"hello", b"you"))):
        reader.feed(framed(b"hello", b"you")[index : index + 1])
        found += drain(reader)
    assert found == [b"hello", b"you"]


@pytest.mark.parametrize("begun", [b"\x00", b"\x00\x00\x00\x02", b"\x00\x00\x00\x02x"])
def test_a_frame_once_begun_is_partial(begun: bytes) -> None:
    reader = FrameReader(10)
    reader.feed(begun)
    assert reader.next() is None
    assert reader.partial


def test_the_largest_frame_passes_and_one_byte_more_is_refused_by_its_header_alone() -> None:
    reader = FrameReader(256 * 1024)
    reader.feed(framed(b"x" * 256 * 1024))
    assert len(drain(reader)[0]) == 256 * 1024
    reader.feed((256 * 1024 + 1).to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError) as refused:
        reader.next()
    assert refused.value.code == Code.FRAME_TOO_LARGE


def test_an_empty_frame_is_refused() -> None:
    reader = FrameReader(10)
    reader.feed(b"\x00\x00\x00\x00")
    with pytest.raises(RemoteProtocolError) as refused:
        reader.next()
    assert refused.value.code == Code.BAD_FRAME


def test_frames_before_a_bad_one_are_still_given() -> None:
    reader = FrameReader(10)
    reader.feed(framed(b"good") + b"\xff\xff\xff\xff")
    assert bytes(reader.next() or b"") == b"good"
    with pytest.raises(RemoteProtocolError):
        reader.next()


def test_the_reader_keeps_no_more_than_the_frame_that_is_not_complete() -> None:
    reader = FrameReader(1000)
    for _ in range(1000):
        reader.feed(framed(b"x" * 100) + b"\x00\x00")
        drain(reader)
        reader.feed(b"\x00\x01y")
        drain(reader)
    assert len(reader._begun) < 200


def test_a_body_that_cannot_be_written_leaves_no_half_of_a_frame() -> None:
    out = bytearray(framed(b"before"))

    def fail(body: bytes, out: bytearray) -> None:
        out += body
        raise OverflowError

    with pytest.raises(OverflowError):
        write_frame(out, fail, b"half")
    assert bytes(out) == framed(b"before")


def test_a_body_outlives_what_it_was_cut_from() -> None:
    """Of a frame that came in pieces; one that came whole is a view of what was fed."""
    reader = FrameReader(10)
    reader.feed(b"\x00\x00\x00\x02a")
    assert reader.next() is None
    reader.feed(b"b" + framed(b"next"))
    first = reader.next()
    second = reader.next()
    assert (bytes(first or b""), bytes(second or b"")) == (b"ab", b"next")
    assert reader.next() is None
    reader.feed(framed(b"x" * 10))
    assert bytes(first or b"") == b"ab"
