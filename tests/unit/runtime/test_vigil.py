"""Who is suspected of silence, and who is not."""

from ticketflow.runtime.slot import Place
from ticketflow.runtime.vigil import SILENT_S, VOUCHED_S, Vigil

HERE, REPLACED, THERE = Place("a", "one"), Place("a", "two"), Place("b", "one")


def test_who_has_just_begun_is_not_suspected() -> None:
    assert Vigil().suspects([(HERE, 10.0)], 10.0 + SILENT_S / 2) == set()


def test_who_has_waited_is_suspected_unless_others_are_answered_where_he_waits() -> None:
    vigil = Vigil()
    assert vigil.suspects([(HERE, 10.0)], 10.0 + SILENT_S) == {"a"}
    vigil.heard(HERE, 15.0)
    assert vigil.suspects([(HERE, 10.0)], 15.0 + SILENT_S / 2) == set()
    assert vigil.suspects([(HERE, 10.0)], 15.0 + SILENT_S) == {"a"}


def test_an_answer_elsewhere_excuses_nobody() -> None:
    vigil = Vigil()
    for other in (REPLACED, THERE):
        vigil.heard(other, 15.0)
    assert vigil.suspects([(HERE, 10.0), (THERE, 10.0)], 15.0) == {"a"}


def test_who_was_vouched_for_waits_in_peace_for_a_while() -> None:
    vigil = Vigil()
    vigil.vouched(HERE, 11.0)
    assert vigil.suspects([(HERE, 10.0)], 11.0 + VOUCHED_S - 0.1) == set()
    assert vigil.suspects([(HERE, 10.0)], 11.0 + VOUCHED_S) == {"a"}


def test_what_was_heard_counts_more_than_an_older_word() -> None:
    """Else a freeze just after a long wait would be noticed late."""
    vigil = Vigil()
    vigil.vouched(HERE, 11.0)
    vigil.heard(HERE, 11.1)
    assert vigil.suspects([(HERE, 11.1)], 11.1 + SILENT_S) == {"a"}
