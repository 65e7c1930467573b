"""The window counts frames whole, until their last event is acknowledged."""

from ticketflow.feed.window import Window


def test_a_frame_counts_until_its_last_event_is_acknowledged() -> None:
    window = Window(10, 1000)
    assert window.add(5, 5, 500, now=1.0)
    assert window.release(4) is None
    assert (window.events_used, window.bytes_used) == (5, 500)
    assert window.release(5) == 1.0
    assert (window.events_used, window.bytes_used) == (0, 0)


def test_one_ack_lets_go_of_all_frames_before_it_and_tells_when_the_oldest_was_added() -> None:
    window = Window(10, 1000)
    window.add(1, 1, 10, now=1.0)
    window.add(2, 1, 10, now=2.0)
    window.add(3, 1, 10, now=3.0)
    assert window.release(2) == 1.0
    assert (window.events_free, window.bytes_free) == (9, 990)


def test_it_is_exceeded_by_events_or_by_bytes() -> None:
    assert Window(2, 100).add(2, 2, 100, now=0)
    assert not Window(2, 100).add(3, 3, 3, now=0)
    assert not Window(2, 100).add(1, 1, 101, now=0)
