"""The receiver of the benches of the feed finds what a transport may do wrong."""

from collections.abc import Callable

import pytest

from bench.feed_events import DIFFERENT, EVENT_BYTES, Counted, event, events


@pytest.mark.parametrize("first_seq", [1, DIFFERENT - 100, DIFFERENT, DIFFERENT + 1, 1_000_000])
def test_events_are_numbered_alike_alone_and_together(first_seq: int) -> None:
    several = events(first_seq, 256)
    assert several == [event(first_seq + index) for index in range(256)]
    assert {len(body) for body in several} == {EVENT_BYTES}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda bodies: bodies[1:],
        lambda bodies: [bodies[0], *bodies],
        lambda bodies: [bodies[1], bodies[0], *bodies[2:]],
        lambda bodies: [*bodies[:-1], bodies[-1][:-1]],
    ],
    ids=["one lost", "one twice", "two swapped", "one cut"],
)
def test_what_is_not_as_it_was_sent_is_found(wrong: Callable[[list[bytes]], list[bytes]]) -> None:
    counted = Counted()
    counted.many(events(1, 5))
    counted.one(event(6))
    assert counted.last_seq == 6
    with pytest.raises(AssertionError):
        counted.many(wrong(events(7, 20)))
    with pytest.raises(AssertionError):
        for body in wrong(events(7, 20)):
            counted.one(body)
