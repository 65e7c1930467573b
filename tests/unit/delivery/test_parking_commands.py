"""The command line on parked events: what it says, and its exit codes. The shelf is a fake."""

import json
from typing import Any

import pytest

from tests.unit.delivery.parked_events import FakeShelf, parked
from ticketflow.delivery.parking_commands import main
from ticketflow.delivery.parking_shelf import Outcome
from ticketflow.runtime.errors import Indefinite, SettingsError, Unavailable

APPLIED = Outcome(parked(), "applied")
FAILED = Outcome(parked(id="8", attempts=3, behind=1), "failed", "Poison: no such hall")


def ran(shelf: FakeShelf, *arguments: str) -> int:
    return main("billing", arguments, shelf.opened)


def test_an_empty_list_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(FakeShelf(), "list") == 0
    assert capsys.readouterr().out == "nothing is parked\n"


def test_a_list_shows_the_first_of_each_key_unless_one_key_is_asked_for() -> None:
    shelf = FakeShelf([parked()])
    for arguments, every in ((["list"], False), (["list", "--all"], True), (["list", "--key", "k"], True)):
        assert ran(shelf, *arguments) == 0
        assert shelf.wanted is not None
        assert shelf.wanted.every == every


def test_a_list_says_that_there_is_more(capsys: pytest.CaptureFixture[str]) -> None:
    shelf = FakeShelf([parked(id=str(n)) for n in range(3)])
    assert ran(shelf, "list", "--limit", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1] == "there are more: --limit shows them"
    assert ran(shelf, "list", "--limit", "2", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (len(said["parked"]), said["more"]) == (2, True)


def test_json_of_a_list_has_no_bodies(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(FakeShelf([parked()]), "list", "--json") == 0
    [event] = json.loads(capsys.readouterr().out)["parked"]
    assert (event["id"], event["behind"], event["age_s"]) == ("7", 2, 200.0)
    assert "body" not in event


def test_show_finds_by_id_event_id_and_key(capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("7", "0190-e", "k"):
        assert ran(FakeShelf([parked()]), "show", target) == 0
        said = capsys.readouterr().out
        assert "Poison: no such hall" in said
        assert '"hold_id": "k"' in said


def test_a_requeue_that_empties_the_key_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    shelf = FakeShelf([parked()], [APPLIED, APPLIED])
    assert ran(shelf, "requeue", "k", "--actor", "ada @ desk") == 0
    assert shelf.done == [("requeue", "7", "ada @ desk")]
    said = capsys.readouterr().out.splitlines()
    assert said == [*["7  hold.released  k  applied"] * 2, "2 left, 0 stay"]


def test_a_requeue_that_fails_again_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(FakeShelf([parked()], [APPLIED, FAILED]), "requeue", "7") == 1
    said = capsys.readouterr().out
    assert "failed again (attempt 3): Poison: no such hall" in said
    assert said.endswith("1 left, 1 stay, 1 wait behind\n")


def test_a_dry_run_only_rehearses(capsys: pytest.CaptureFixture[str]) -> None:
    shelf = FakeShelf([parked()], [APPLIED])
    assert ran(shelf, "requeue", "7", "--dry-run") == 0
    assert shelf.done == [("rehearse", "7")]
    assert "would be applied" in capsys.readouterr().out


def test_a_requeue_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(FakeShelf([parked()], [APPLIED, FAILED]), "requeue", "7", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert [event["result"] for event in said["events"]] == ["applied", "failed"]
    assert (said["dry_run"], said["waiting"]) == (False, 1)


def test_all_of_a_reason_takes_each_key_in_turn() -> None:
    shelf = FakeShelf([parked(id="7"), parked(id="9", key="other")], [FAILED])
    assert ran(shelf, "requeue", "--all-of", "failed") == 1
    assert [done[:2] for done in shelf.done] == [("requeue", "7"), ("requeue", "9")]
    assert shelf.wanted is not None
    assert shelf.wanted.reason == "failed"


def test_a_discard_needs_the_one_event_and_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    shelf = FakeShelf([parked()])
    assert ran(shelf, "discard", "k", "--reason", "a test sale") == 1
    assert "is a key" in capsys.readouterr().err
    assert ran(shelf, "discard", "7", "--reason", "a test sale", "--actor", "ada") == 0
    assert shelf.done == [("discard", "7", "a test sale", "ada")]
    assert "2 later events of its key still wait: `parked requeue k`" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["mend"],
        ["show"],
        ["requeue"],
        ["requeue", "k", "--all-of", "failed"],
        ["requeue", "--all-of", "boredom"],
        ["discard", "7"],
        ["discard", "7", "--reason", " "],
        ["list", "--limit", "0"],
        ["list", "--limit", "x"],
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shelf = FakeShelf([parked()])
    with pytest.raises(SystemExit) as ended:
        ran(shelf, *arguments)
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert shelf.done == []


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Unavailable("nobody\nanswers"), 1, "the database is away"),
        (Indefinite("COMMIT was not answered"), 1, "did not say whether it was done"),
        (SettingsError(["X is not set", "Y is not set"]), 2, "X is not set; Y is not set"),
        (KeyError("a bug"), 1, "KeyError: 'a bug'"),
    ],
)
def test_a_fault_is_one_line(fault: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = FakeShelf()
    shelf.fault = fault
    assert ran(shelf, "list") == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("billing parked: ")
    assert said in line


@pytest.mark.parametrize("arguments", [["show", "7"], ["requeue", "7"], ["discard", "7", "--reason", "x"]])
def test_what_is_not_parked_is_said_so(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(FakeShelf(), *arguments) == 1
    assert capsys.readouterr().err == "billing parked: nothing is parked under '7'\n"


def test_the_actor_is_the_user_at_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> Any:
        raise KeyError("no such uid")

    shelf = FakeShelf([parked()])
    ran(shelf, "requeue", "7")
    assert " @ " in shelf.done[0][2]
    monkeypatch.setattr("getpass.getuser", nameless)
    ran(shelf, "requeue", "7")
    assert shelf.done[1][2].startswith("uid ")
