"""The stream checker: seqs have no gap, and lost history was sent again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.checkers import stream
from drills.history import Sample, StreamAt
from tests.unit.drills.story import Story, change, good_story


def problems(story: Story) -> tuple[str, ...]:
    return stream.check(story.history()).problems


def seen(story: Story, *states: tuple[int, int]) -> None:
    """What the watch saw second by second: (acked_seq, watermark)."""
    story.samples = [
        Sample(float(at), streams={"reservation": StreamAt(1, 8, acked, mark)})
        for at, (acked, mark) in enumerate(states)
    ]


def test_a_seq_that_was_never_given_is_a_gap() -> None:
    story = good_story()
    for n in (1, 2, 4):
        change(story.events["reservation"], story.events["reservation"][n], seq=100 + n)
        change(story.inbox["reservation"], story.inbox["reservation"][n], seq=100 + n)
    story.stream["reservation"] = {"last_seq": 8}

    assert problems(story)[:3] == (
        "reservation: seq 104 was given, and last_seq is 8",
        "reservation: seq 2 to 3 is missing in the outbox",
        "reservation: seq 5 is missing in the outbox",
    )


def test_a_seq_that_was_given_twice_is_found() -> None:
    story = good_story()
    change(story.events["billing"], story.events["billing"][1], seq=1)

    assert problems(story) == ("billing: seq 1 was given 2 times", "billing: seq 2 is missing in the outbox")


def test_a_gap_below_the_watermark_is_found() -> None:
    story = good_story()
    del story.inbox["reservation"][3]

    assert problems(story) == ("reservation: seq 4 is missing at billing, whose watermark is 8",)


def test_a_drill_begins_anywhere_in_a_stream() -> None:
    story = good_story()
    story.events["portal"] = [change([row], row, seq=5000 + n) for n, row in enumerate(story.events["portal"], 1)]
    story.inbox["portal"] = [change([row], row, seq=5000 + n) for n, row in enumerate(story.inbox["portal"], 1)]
    story.stream["portal"] = {"last_seq": 5002, "acked_seq": 5002, "watermark": 5002}

    assert problems(story) == ()


def test_a_receiver_that_did_not_get_to_the_end_is_found() -> None:
    story = good_story()
    story.stream["reservation"] = {"watermark": 7}
    story.stream["billing"] = {"acked_seq": 9}

    assert problems(story) == (
        "reservation: billing's watermark is 7 at the end, the last seq 8",
        "billing: the ack is 9 at the end, the last seq 12",
    )


def test_a_receiver_in_another_epoch_is_found() -> None:
    story = good_story()
    story.stream["portal"] = {"receiver_epoch": 2}

    assert problems(story) == ("portal: reservation stands in epoch 2, the sender in 1",)


def test_a_watermark_that_went_back_without_a_rewind_is_found() -> None:
    story = good_story()
    seen(story, (5, 5), (5, 3), (6, 6))
    del story.inbox["reservation"][3:5]

    assert problems(story) == (
        "reservation: seq 4 to 5 is missing at billing, whose watermark is 8",
        "reservation: the watermark went back from 5 to 3 about 1.0 s, and no rewind followed",
    )


@pytest.mark.parametrize(
    "states",
    [
        [(5, 5), (3, 3), (6, 6)],
        [(5, 5), (5, 3), (3, 3), (8, 8)],
        [(3, 5), (3, 3), (6, 6)],  # what was lost had never been acknowledged: it is sent anyway
    ],
)
def test_a_watermark_that_went_back_and_was_rewound_to_is_fine(states: list[tuple[int, int]]) -> None:
    story = good_story()
    seen(story, *states)

    assert problems(story) == ()


def test_a_rewind_between_two_samples_shows_in_the_inbox() -> None:
    story = good_story()
    seen(story, (5, 5), (5, 3), (8, 8))

    found = stream.check(story.history())

    assert (found.ok, found.summary) == (True, "22 seqs without a gap; 1 times a watermark went back")


def test_a_counted_rewind_answers_one_regression() -> None:
    story = good_story()
    seen(story, (5, 5), (5, 3), (6, 6), (6, 4), (8, 8))
    del story.inbox["reservation"][3:6]
    story.stream["reservation"] = {"rewinds": 1}

    assert problems(story) == (
        "reservation: seq 4 to 6 is missing at billing, whose watermark is 8",
        "reservation: the watermark went back from 6 to 4 about 3.0 s, and no rewind followed",
    )


def test_an_epoch_that_changed_is_found() -> None:
    story = good_story()
    story.samples = [Sample(4.0 + epoch, streams={"billing": StreamAt(epoch, 5, 5)}) for epoch in (0, 1)]

    assert problems(story) == ("billing: the epoch changed from 0 to 1 about 5.0 s",)


def test_a_sender_that_fell_behind_its_receiver_is_found() -> None:
    story = good_story()
    story.samples = [
        Sample(4.0, streams={"reservation": StreamAt(1, 8, 7, 7)}),
        Sample(5.0, streams={"reservation": StreamAt(1, 6, 6, 7)}),
    ]

    assert problems(story) == ("reservation: last_seq went back from 8 to 6 about 5.0 s, below the watermark 7",)


def test_a_sender_may_lose_a_stamp_that_nobody_has_seen() -> None:
    story = good_story()
    story.samples = [
        Sample(4.0, streams={"reservation": StreamAt(1, 8, 7, 7), "billing": StreamAt(1, 9, 9)}),
        Sample(5.0, streams={"reservation": StreamAt(1, 7, 7, 7), "billing": StreamAt(1, 8, 8)}),
    ]

    assert problems(story) == ()


def test_a_stream_that_could_not_be_read_is_no_finding() -> None:
    story = good_story()
    story.samples = [Sample(1.0, streams={"reservation": StreamAt(1, 5, 5, None)}), Sample(2.0)]

    assert problems(story) == ()


@given(st.lists(st.integers(0, 8), min_size=1, max_size=12))
def test_whatever_the_watermark_does_it_is_fine_when_all_is_there_at_the_end(marks: list[int]) -> None:
    story = good_story()
    seen(story, *((8, mark) for mark in marks))

    assert problems(story) == ()


@given(st.sets(st.integers(1, 8), min_size=1))
def test_every_missing_seq_is_named(missing: set[int]) -> None:
    story = good_story()
    story.inbox["reservation"] = [event for event in story.inbox["reservation"] if event.seq not in missing]

    named: set[int] = set()
    for text in problems(story):
        first, *last = text.split(" is missing")[0].removeprefix("reservation: seq ").split(" to ")
        named |= set(range(int(first), int(last[0] if last else first) + 1))
    assert named == missing
