"""All checkers over histories in which nothing is wrong."""

import msgspec
import pytest

from drills import history
from drills.checkers import CHECKERS, check_all
from drills.checkers.finding import finding
from tests.unit.drills.story import Story, good_story


def test_a_good_history_is_found_good_by_all() -> None:
    assert [(found.name, found.ok, found.problems) for found in check_all(good_story().history())] == [
        ("set", True, ()),
        ("total-queue", True, ()),
        ("bank", True, ()),
        ("one-owner", True, ()),
        ("idempotence", True, ()),
        ("stream", True, ()),
        ("agreement", True, ()),
        ("replicas", True, ()),
    ]


def test_a_drill_in_which_nobody_bought_is_good() -> None:
    assert all(found.ok for found in check_all(Story().history()))


@pytest.mark.parametrize("name", CHECKERS)
def test_an_indefinite_hold_may_exist(name: str) -> None:
    story = good_story()
    story.hold("h6", "s6", at=8.0, told=False)
    story.end("h6", "EXPIRED", "expired", at=40.0)

    assert CHECKERS[name](story.history()).ok


@pytest.mark.parametrize("name", CHECKERS)
def test_an_indefinite_hold_may_not_exist(name: str) -> None:
    story = good_story()
    story.op("hold", "h6", at=8.0, outcome="indefinite", status=0, order_id="", key="h6-key", seats=("s6",))

    assert CHECKERS[name](story.history()).ok


def test_every_summary_says_what_was_looked_at() -> None:
    assert [found.summary for found in check_all(good_story().history())] == [
        "all of 7 acknowledged wishes are kept; 0 ended indefinite",
        "22 events, each with its effect, once; 0 recovered",
        "places add up in 0 samples and at the end; 7500 paid for tickets, and kept",
        "4 seats in 4 holds, never two owners",
        "7 keys, sent 0 times more than once, with one effect each",
        "22 seqs without a gap; 0 times a watermark went back",
        "4 sales ended the same way everywhere, 2 of them sold",
        "every node of Galera has the same rows",
    ]


def test_a_finding_shows_no_more_problems_than_a_person_reads() -> None:
    found = finding("set", (f"problem {n}" for n in range(1000)), "all is well")

    assert (found.ok, found.summary, len(found.problems)) == (False, "1000 problems", 20)


def test_a_history_survives_json() -> None:
    told = good_story().history()

    assert history.decode(history.encode(told)) == told


def test_a_file_that_is_no_history_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="drill"):
        history.decode(b"{}")
