"""How far a node's data goes, read from what a server, a crash or a cut state transfer left behind."""

import pytest

from mariadb.galera_node.election import Phase, Report
from mariadb.galera_node.position import (
    NO_HISTORY,
    Position,
    SavedState,
    after_crash,
    format_saved_state,
    parse_recovered,
    parse_saved_state,
)
from mariadb.galera_node.reports import decode, encode

HISTORY, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"

STOPPED = f"""# GALERA saved state
version: 2.1
uuid:    {HISTORY}
seqno:   42
safe_to_bootstrap: 0
"""


def test_a_stopped_server_left_its_position() -> None:
    saved = parse_saved_state(STOPPED)

    assert saved == SavedState(HISTORY, 42)
    assert saved.clean()


def test_a_killed_server_left_its_history_only() -> None:
    saved = parse_saved_state(STOPPED.replace("42", "-1"))

    assert not saved.clean()
    assert not saved.void()


@pytest.mark.parametrize("text", ["", "uuid: ", STOPPED[:40], STOPPED.replace(HISTORY, NO_HISTORY), "\0" * 200])
def test_a_cut_state_transfer_or_a_torn_file_left_nothing(text: str) -> None:
    assert parse_saved_state(text).void()


@pytest.mark.parametrize("position", [Position(HISTORY, 42), Position(HISTORY, 0)])
def test_what_is_written_is_read_again(position: Position) -> None:
    assert parse_saved_state(format_saved_state(position)) == SavedState(position.history, position.seqno)


def test_the_node_that_begins_says_that_it_may() -> None:
    assert "safe_to_bootstrap: 1" in format_saved_state(Position(HISTORY, 42), may_begin=True)
    assert "safe_to_bootstrap: 0" in format_saved_state(None)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (f"2026-11-21 9:15:55 0 [Note] WSREP: Recovered position: {HISTORY}:4711\n", Position(HISTORY, 4711)),
        (f"[Note] WSREP: Recovered position: {HISTORY}:4711,0-1-5\n", Position(HISTORY, 4711)),
        (f"[Note] WSREP: Recovered position: {NO_HISTORY}:-1\n", None),
    ],
)
def test_the_server_says_what_it_recovered(log: str, expected: Position | None) -> None:
    assert parse_recovered(log) == expected


def test_a_server_that_cannot_open_its_data_says_nothing() -> None:
    with pytest.raises(ValueError, match="position"):
        parse_recovered("[ERROR] InnoDB: Database page corruption on disk")


def test_after_a_crash_both_sources_must_speak_of_one_history() -> None:
    saved = SavedState(HISTORY, -1)

    assert after_crash(saved, Position(HISTORY, 9)) == Position(HISTORY, 9)
    assert after_crash(saved, Position(OTHER, 9)) is None
    assert after_crash(saved, None) is None


@pytest.mark.parametrize(
    "report",
    [
        Report("mariadb1", Phase.WAITING, Position(HISTORY, 9)),
        Report("mariadb2", Phase.WAITING, None, born=True),
        Report("mariadb3", Phase.PRIMARY, Position(HISTORY, -1), component=frozenset({"mariadb1", "mariadb3"})),
    ],
)
def test_a_report_arrives_as_it_was_sent(report: Report) -> None:
    assert decode(encode(report)) == report


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"null", b'{"node": "x", "phase": "queen", "position": null, "born": false, "component": []}'],
)
def test_what_is_no_report_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"report|Expecting|queen"):
        decode(line)
