"""Events are cut into frames as one would by hand, one event after the other; whatever calls brought them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feed.link import Wire
from ticketflow.feed import EVENT_BYTES_MAX, Limits, LocalProtocolError
from ticketflow.feed.limits import WINDOW_BYTES_MIN
from ticketflow.feed.messages import Events

TARGET_BYTES = 100
sizes_of_events = st.lists(st.sampled_from([1, 40, 50, 99, 100, 101, 300, 90_000, EVENT_BYTES_MAX]), max_size=30)


def by_hand(sizes: list[int], window_events: int) -> list[list[int]]:
    """The sizes of the events of each frame, as far as the window goes."""
    frames: list[list[int]] = []
    taken = sum_bytes = 0
    for size in sizes:
        if taken == window_events or sum_bytes + size > WINDOW_BYTES_MIN:
            break
        if not frames or sum(frames[-1]) + size > TARGET_BYTES:
            frames.append([])
        frames[-1].append(size)
        taken, sum_bytes = taken + 1, sum_bytes + size
    return frames


@given(sizes_of_events, st.integers(1, 20), st.lists(st.integers(1, 5), max_size=30))
def test_frames_are_those_that_one_cuts_by_hand(sizes: list[int], window_events: int, calls: list[int]) -> None:
    limits = Limits(window_events=window_events, window_bytes=WINDOW_BYTES_MIN, frame_target_bytes=TARGET_BYTES)
    wire = Wire(limits).open()
    bodies = [bytes([seq]) * size for seq, size in enumerate(sizes, 1)]
    handed = 0
    for count in [*calls, len(bodies)]:
        part = bodies[handed : handed + count]
        taken = wire.sender.offer(handed + 1, part, 0, wire.now)
        handed += taken
        if taken < len(part):
            break
    wire.cross()
    frames = [event for event in wire.at_receiver if isinstance(event, Events)]
    expected = by_hand(sizes, window_events)
    assert [[len(body) for body in frame.bodies] for frame in frames] == expected
    assert wire.arrived() == bodies[: sum(map(len, expected))]
    assert handed == sum(map(len, expected))
    assert wire.sender.window_events_used == wire.receiver.window_events_used == handed


@pytest.mark.parametrize("bad", [b"", b"x" * (EVENT_BYTES_MAX + 1)])
def test_events_before_one_that_is_no_event_are_taken(bad: bytes) -> None:
    wire = Wire().open()
    with pytest.raises(LocalProtocolError, match="bytes"):
        wire.sender.offer(1, [b"a", b"b", bad, b"d"], 0, wire.now)
    wire.cross()
    assert wire.arrived() == [b"a", b"b"]
    assert wire.send(3, b"c") == 1


def test_many_events_that_are_more_than_the_largest_one_together_are_taken() -> None:
    wire = Wire().open()
    bodies = [b"x" * 1000] * 1000
    assert wire.send(1, *bodies) == 1000
    assert wire.arrived() == bodies


def test_an_event_that_comes_alone_waits_for_the_window_by_count_and_by_bytes() -> None:
    wire = Wire(Limits(window_events=2, window_bytes=WINDOW_BYTES_MIN)).open()
    assert [wire.send(seq, b"x") for seq in (1, 2, 3)] == [1, 1, 0]
    wire.receiver.ack(1)
    wire.cross()
    assert [wire.send(seq, b"x") for seq in (3, 4)] == [1, 0]

    wire = Wire(Limits(window_events=1000, window_bytes=WINDOW_BYTES_MIN)).open()
    most = WINDOW_BYTES_MIN // EVENT_BYTES_MAX
    assert [wire.send(seq, b"x" * EVENT_BYTES_MAX) for seq in range(1, most + 2)] == [1] * most + [0]
    wire.receiver.ack(1)
    wire.cross()
    assert wire.send(most + 1, b"x" * EVENT_BYTES_MAX) == 1
