"""Which address is next, and how long to wait."""

import random

import pytest

from ticketflow.feed import Address, Backoff, Limits, Rotation

A, B, C = Address("a", 1), Address("b", 2), Address("c", 3)


def test_it_begins_as_given_and_stays_with_what_works() -> None:
    rotation = Rotation([A, B, C])
    assert rotation.order() == (A, B, C)
    rotation.worked(B)
    assert rotation.order() == (B, C, A)


def test_it_turns_away_from_what_failed_once() -> None:
    rotation = Rotation([A, B])
    rotation.failed(A)
    rotation.failed(A)  # the same loss, noticed twice
    assert rotation.order() == (B, A)


def test_it_needs_an_address() -> None:
    with pytest.raises(ValueError, match="no addresses"):
        Rotation([])


def test_delays_double_up_to_a_bound_and_are_jittered() -> None:
    backoff = Backoff(0.05, 2.0, random.Random(1))
    delays = [backoff.next() for _ in range(10)]
    for delay, bound in zip(delays, [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0], strict=True):
        assert bound / 2 <= delay <= bound
    assert len(set(delays)) == 10


def test_progress_makes_delays_short_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.05


def test_a_peers_hint_is_honoured_within_reason() -> None:
    assert 1.0 <= Backoff().next(at_least_s=1.0) <= 1.05
    assert Backoff().next(at_least_s=1e9) < 31
    assert Backoff().next(at_least_s=-5) <= 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"ping_interval_s": 6.0},
        {"frame_timeout_s": 6.0},
        {"welcome_timeout_s": 5.0},
        {"window_events": 0},
        {"window_bytes": 1000},
    ],
)
def test_limits_that_contradict_each_other_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="limits:"):
        Limits(**wrong)  # type: ignore[arg-type]
