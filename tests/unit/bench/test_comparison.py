"""`python -m bench compare A B`."""

from pathlib import Path

import pytest

from bench import __main__ as command
from bench.comparison import compared
from bench.goal import Goal, Measured, Reach, Round
from bench.results import Result, Results, keep, read, write
from bench.run import Run
from bench.table import table
from drills.machine import Machine

MACHINE = Machine(2, 24000, "a processor", "6.1", "")


def result(name: str, ratio: float, reach: Reach = "at least", goal: float = 2.0) -> Result:
    met = ratio >= goal if reach == "at least" else ratio <= goal
    return Result(
        name=name,
        ours=ratio,
        other=1.0,
        ratio=ratio,
        goal=goal,
        met=met,
        reach=reach,
        unit="events/s",
        against="a peer",
        rounds=5,
    )


def lines(before: list[Result], after: list[Result]) -> list[str]:
    told = compared(Results(MACHINE, before), Results(MACHINE, after))
    return [" ".join(line.split()) for line in told]


def test_what_moved_is_told_with_its_direction() -> None:
    before = [result("same", 3), result("up", 3), result("down", 3), result("slow", 3, "at most", 5), result("gone", 3)]
    after = [
        result("same", 3.1),
        result("up", 4),
        result("down", 2.5),
        result("slow", 4, "at most", 5),
        result("new", 3),
    ]
    assert lines(before, after) == [
        "same 3x -> 3.1x +3% the same",
        "up 3x -> 4x +33% better",
        "down 3x -> 2.5x -17% WORSE",
        "slow 3x -> 4x +33% WORSE",
        "gone is gone",
        "new is new",
    ]


def test_a_goal_that_is_missed_now_is_pointed_out() -> None:
    assert lines([result("one", 2.5)], [result("one", 1.5)]) == ["one 2.5x -> 1.5x -40% WORSE, MISSED now"]
    assert lines([result("one", 1.5)], [result("one", 2.5)]) == ["one 1.5x -> 2.5x +67% better, met now"]


def test_two_machines_are_told_apart() -> None:
    other = Machine(8, 64000, "another", "6.1", "")
    first, *_ = compared(Results(MACHINE, []), Results(other, []))
    assert first.startswith("Not the same machine: 2 cores of a processor")


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    kept = Results(MACHINE, [result("one", 2.5)])
    write(tmp_path / "results.json", kept)
    assert read(tmp_path / "results.json") == kept


def test_a_result_is_kept_among_the_others_in_the_place_of_its_older_one(tmp_path: Path) -> None:
    file = tmp_path / "results" / "today.json"
    for one in (result("b", 1), result("a", 2), result("b", 3)):
        keep(file, MACHINE, one, ["a", "b"])
    assert [(one.name, one.ratio) for one in read(file).goals] == [("a", 2), ("b", 3)]
    keep(file, Machine(8, 64000, "another", "6.1", ""), result("a", 4), ["a", "b"])
    assert [(one.name, one.ratio) for one in read(file).goals] == [("a", 4)]


async def test_what_a_goal_without_notes_has_measured_is_kept(tmp_path: Path) -> None:
    async def measure(_run: Run) -> Measured:
        return Measured([Round(3.0, 1.0)])

    goal = Goal("one", "ours", "theirs", "s", "at least", 2.0, measure)
    keep(tmp_path / "results.json", MACHINE, Result.of(goal, await measure(Run("one"))), ["one"])
    assert [one.ratio for one in read(tmp_path / "results.json").goals] == [3.0]


def test_a_file_that_is_no_result_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr("sys.argv", ["bench", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "missing required field `machine`" in capsys.readouterr().err


def test_a_goal_that_nobody_knows_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "fastest"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "no goal is called 'fastest'" in capsys.readouterr().err


def test_results_become_a_table_of_the_docs() -> None:
    kept = Results(MACHINE, [result("feed-nats", 3.456), result("ring-p99", 1.2, "at most", 1.0)])
    assert list(table(kept)) == [
        "| goal | ours | the other | ratio | goal | |",
        "|---|---|---|---|---|---|",
        "| `feed-nats` | 3.46 events/s | 1 | 3.46 x | ≥ 2 x | met |",
        "| `ring-p99` | 1.2 events/s | 1 | 1.2 x | ≤ 1 x | **missed** |",
        "",
        "On 2 cores of a processor, 23.4 GiB, Linux 6.1.",
    ]
