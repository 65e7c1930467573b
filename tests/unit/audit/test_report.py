"""Both ends of every stream, side by side: what counts as unresolved, and how people read it."""

from datetime import UTC, datetime

from audit.report import Report, Seen
from ticketflow.delivery.dialect_history import Finding
from ticketflow.delivery.history import End

PHANTOM = Finding("phantom", "in", "billing", 7, 11, 15, 5, datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), "open", "")


def sends(stream: str, last_seq: int, *, epoch: int = 7) -> End:
    return End("out", stream, epoch, last_seq, last_seq, 0, 0.0)


def receives(stream: str, watermark: int, *, epoch: int = 7) -> End:
    return End("in", stream, epoch, watermark, parked=0)


def report(senders: list[End], receivers: list[End]) -> Report:
    return Report({"billing": Seen(senders), "portal": Seen(receivers)})


def test_a_receiver_that_is_behind_is_only_late() -> None:
    late = report([sends("billing", 9)], [receives("billing", 4)])
    assert (late.parted, late.unresolved) == (set(), False)


def test_a_receiver_that_has_more_than_its_sender_or_another_epoch_has_parted_from_it() -> None:
    assert report([sends("billing", 9)], [receives("billing", 10)]).parted == {"billing"}
    assert report([sends("billing", 9, epoch=8)], [receives("billing", 9)]).parted == {"billing"}
    assert report([sends("billing", 9, epoch=8)], [receives("billing", 0)]).parted == set()  # it has nothing yet


def test_a_lane_that_its_sender_does_not_know_has_parted_and_a_stream_whose_sender_is_elsewhere_has_not() -> None:
    seen = report([sends("billing", 9)], [receives("billing", 9), receives("billing.1", 4), receives("other", 4)])
    assert seen.parted == {"billing.1"}


def test_under_load_a_receiver_is_compared_with_what_its_sender_says_later() -> None:
    first = report([sends("billing", 9)], [receives("billing", 12)])
    later = report([sends("billing", 15)], [receives("billing", 16)])
    assert first.with_senders_of(later.stores).parted == set()


def test_what_is_open_or_away_is_unresolved() -> None:
    assert Report({"portal": Seen(findings=[PHANTOM])}).unresolved
    assert not Report({"portal": Seen(findings=[PHANTOM._replace(state="resolved")])}).unresolved
    assert Report({"portal": Seen(away="it is asleep")}).unresolved


def test_it_reads_as_lines_without_what_a_terminal_would_obey() -> None:
    phantom = PHANTOM._replace(note="by \x1b[2J hand")
    lines = Report({"portal": Seen([receives("billing", 15)], [phantom])}).lines()
    assert lines[1].split() == ["billing", "portal", "receives", "7", "15", "-", "-", "-", "0"]
    assert "seqs 11..15, 5 events, found 2026-05-04 03:02:01 UTC, open: by  [2J hand" in lines[3]
    assert lines[4] == "which they are: python -m portal stream phantoms billing"
    assert lines[-1] == "unresolved"
