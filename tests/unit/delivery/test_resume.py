"""Where a sender goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketflow.delivery import StreamHistoryLost
from ticketflow.delivery.dialect import StreamState
from ticketflow.delivery.resume import Forking, Resume, decide

SENDER = StreamState(epoch=5, last_seq=10, acked_seq=7)
seqs = st.integers(0, 50)


@pytest.mark.parametrize(
    ("watermark", "expected"),
    [
        (7, Resume(7)),  # as it was left
        (9, Resume(9)),  # the last acks were lost
        (10, Resume(10)),
        (6, Resume(6, rewound_from=7)),  # the receiver lost history
        (0, Resume(0, rewound_from=7)),
        (None, Resume(7)),  # the receiver keeps none
    ],
)
def test_a_sender_goes_on_after_the_receivers_watermark(watermark: int | None, expected: Resume) -> None:
    assert decide("s", SENDER, 5, watermark) == expected


@pytest.mark.parametrize(
    ("epoch", "watermark"),
    [
        (5, 11),  # it was restored to an older state
        (6, 0),  # it was restored to before its own fork
        (6, 7),
        (6, 12),
    ],
)
def test_a_sender_that_lost_history_forks_after_what_is_left(epoch: int, watermark: int) -> None:
    assert decide("s", SENDER, epoch, watermark) == Forking(10, epoch, watermark)


@pytest.mark.parametrize("watermark", [0, 7, 11])
def test_a_receiver_that_does_not_follow_needs_a_person(watermark: int) -> None:
    with pytest.raises(StreamHistoryLost):
        decide("s", SENDER, 4, watermark)


@given(last=seqs, acked=seqs, watermark=st.none() | seqs)
def test_nothing_is_ever_skipped(last: int, acked: int, watermark: int | None) -> None:
    state = StreamState(1, max(last, acked), acked)
    resume = decide("s", state, None if watermark is None else 1, watermark)
    if isinstance(resume, Forking):
        assert watermark is not None
        assert watermark > state.last_seq
        assert resume.after_seq == state.last_seq
    else:
        assert resume.after_seq == (acked if watermark is None else watermark)
        assert resume.after_seq <= state.last_seq
        assert (resume.rewound_from is not None) == (resume.after_seq < acked)


@given(last=seqs, epoch=st.integers(1, 9), watermark=seqs)
def test_a_sender_goes_on_only_where_it_has_been(last: int, epoch: int, watermark: int) -> None:
    state = StreamState(5, last, 0)
    try:
        resume = decide("s", state, epoch, watermark)
    except StreamHistoryLost:
        assert epoch < 5
    else:
        assert isinstance(resume, Resume) == (epoch == 5 and watermark <= last)
