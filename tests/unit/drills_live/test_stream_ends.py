"""A stream's two ends are read by two looks, at two moments: what is told of them must have been so."""

from drills.auditor.watch import Look, Seen, streams
from drills.history import StreamAt


def sender(began_s: float, last_seq: int) -> Look:
    return Look(began_s, began_s + 0.1, Seen(ends={("reservation", "sender"): (1, last_seq, last_seq - 5)}))


def receiver(began_s: float, watermark: int, before: Look | None = None) -> Look:
    return Look(began_s, began_s + 0.1, Seen(ends={("reservation", "receiver"): (1, watermark)}), before)


def test_a_receiver_that_was_read_first_is_told_with_its_sender() -> None:
    assert streams([sender(2.0, 682), receiver(1.5, 680)]) == {"reservation": StreamAt(1, 682, 677, 680)}


def test_a_receiver_that_was_read_later_would_seem_to_be_ahead_and_is_not_told() -> None:
    """The sender's store was away for a while; meanwhile its relay went on sending what it had stamped."""
    assert streams([sender(1.0, 681), receiver(2.5, 682)]) == {"reservation": StreamAt(1, 681, 676, None)}


def test_the_look_before_is_told_instead() -> None:
    assert streams([sender(2.0, 681), receiver(2.5, 682, receiver(1.5, 679))]) == {
        "reservation": StreamAt(1, 681, 676, 679)
    }


def test_a_look_that_overlaps_the_senders_is_not_told() -> None:
    assert streams([sender(2.0, 681), receiver(1.95, 681)]) == {"reservation": StreamAt(1, 681, 676, None)}
