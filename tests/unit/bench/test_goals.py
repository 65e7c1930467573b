"""What a goal is, and what is said of a measurement."""

import pytest

from bench.catalogue import GOALS
from bench.goal import Goal, Measured, Reach, Round
from bench.results import Result
from bench.run import Run


async def nothing(run: Run) -> Measured:
    return Measured([])


def goal(reach: Reach, ratio: float) -> Goal:
    return Goal("fast", "ours", "theirs", "events/s", reach, ratio, nothing)


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    measured = Measured([Round(10, 5), Round(1, 1), Round(9, 3)])
    assert (measured.ours, measured.other, measured.ratio) == (9, 3, 2)


def test_notes_are_those_of_the_round_in_the_middle() -> None:
    found = [(Round(ours, 1), {"CPU, us": cpu_us}) for ours, cpu_us in ((3, 30), (9, 90), (5, 50), (1, 10), (8, 80))]
    measured = Measured.typical(found)
    assert measured.ours == 5
    assert measured.notes == {"CPU, us": 50}


@pytest.mark.parametrize(
    ("reach", "wanted", "got", "met"),
    [
        ("at least", 2.0, 2.0, True),
        ("at least", 2.0, 1.99, False),
        ("at most", 1.0, 1.0, True),
        ("at most", 1.0, 1.01, False),
    ],
)
def test_a_goal_is_met_at_its_ratio_and_missed_beyond_it(reach: Reach, wanted: float, got: float, met: bool) -> None:
    assert goal(reach, wanted).met(got) is met


def test_a_result_says_both_figures_the_ratio_and_whether_that_is_enough() -> None:
    said = str(Result.of(goal("at least", 2), Measured([Round(300, 200)] * 5)))
    assert said.split() == ["fast", "300", ":", "200", "events/s", "1.5x", ">=", "2", "MISSED"]


def test_every_goal_has_a_name_of_its_own_that_fits_the_table() -> None:
    names = [one.name for one in GOALS]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 24 for name in names)


async def test_rounds_go_by_turns_after_one_that_is_thrown_away() -> None:
    went: list[str] = []

    async def ours() -> float:
        went.append("ours")
        return 4.0

    async def other() -> float:
        went.append("other")
        return 2.0

    rounds = await Run("test").interleaved(ours, other)
    assert rounds == [Round(4, 2)] * 5
    assert went == [
        "ours",
        "other",
        "ours",
        "other",
        "other",
        "ours",
        "ours",
        "other",
        "other",
        "ours",
        "ours",
        "other",
    ]
