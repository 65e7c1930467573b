"""What an answer means to a client who means to get one."""

import pytest

from drills.history import Outcome
from drills.manners import PAUSE_S, Meaning, meaning, outcome, pause_s


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (201, "", Meaning.DONE),
        (202, "", Meaning.DONE),
        (409, "seat_unavailable", Meaning.REFUSED),
        (410, "hold_expired", Meaning.REFUSED),
        (404, "sale_unknown", Meaning.REFUSED),
        (409, "order_not_yet", Meaning.NOT_DONE),
        (409, "payment_in_progress", Meaning.NOT_DONE),
        (429, "too_many_requests", Meaning.NOT_DONE),
        (429, "", Meaning.NOT_DONE),
        (500, "internal", Meaning.UNKNOWN),
        (502, "upstream_unavailable", Meaning.UNKNOWN),
        (503, "store_unavailable", Meaning.UNKNOWN),
        (503, "outcome_unknown", Meaning.UNKNOWN),
        (504, "upstream_unavailable", Meaning.UNKNOWN),
        (0, "timed_out", Meaning.UNKNOWN),
    ],
)
def test_meanings(status: int, code: str, expected: Meaning) -> None:
    assert meaning(status, code) is expected


@pytest.mark.parametrize(
    ("last", "any_unknown", "expected"),
    [
        (Meaning.DONE, True, "ok"),
        (Meaning.REFUSED, True, "refused"),  # one key, one decision: this one
        (Meaning.NOT_DONE, False, "refused"),
        (Meaning.NOT_DONE, True, "indefinite"),  # an earlier attempt may have been done
        (Meaning.UNKNOWN, True, "indefinite"),
    ],
)
def test_outcomes(last: Meaning, any_unknown: bool, expected: Outcome) -> None:
    assert outcome(last, any_unknown) == expected


@pytest.mark.parametrize(("header", "expected"), [("1", 1.0), ("30", 1.0), ("0", 0.0), (None, PAUSE_S), ("x", PAUSE_S)])
def test_retry_after_is_honoured_up_to_a_second(header: str | None, expected: float) -> None:
    assert pause_s(header) == expected
