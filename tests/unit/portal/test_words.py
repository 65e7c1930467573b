"""There are words for everything that can happen to a sale."""

from typing import get_args

import pytest

from portal import words
from portal.projection import RULES
from ticketflow.events import EndReason


@pytest.mark.parametrize("kind", sorted(payload.kind for payload in RULES))
def test_every_kind_has_words(kind: str) -> None:
    assert (kind, None) in words.HISTORY


@pytest.mark.parametrize("reason", get_args(EndReason))
def test_every_end_has_words(reason: str) -> None:
    assert reason in words.ENDINGS
    assert words.of("order.failed", reason).startswith(words.ending(reason))
    assert "no money is kept" in words.of("order.failed", reason)


def test_no_words_are_for_what_does_not_happen() -> None:
    assert {kind for kind, _ in words.HISTORY} == {payload.kind for payload in RULES}


def test_what_a_person_wrote_is_said_as_written() -> None:
    assert words.of("ticket.voided", "{0} {reason}").endswith(": {0} {reason}")
    assert words.of("order.refunded", None).endswith("no reason was given")


def test_reasons_and_kinds_of_the_future_have_general_words() -> None:
    assert words.of("payment.declined", "pickup_card") == words.HISTORY["payment.declined", None]
    assert words.of("seat.upgraded", None) == words.UNKNOWN
    assert words.ending("flooded") == "The order could not be completed."
