"""Who begins a Galera cluster, and who must not."""

import itertools
from collections.abc import Mapping

import pytest

from mariadb.galera_node.election import (
    Begin,
    Decision,
    Join,
    Phase,
    Report,
    Wait,
    ahead_in_turn,
    decide,
    stands_down,
)
from mariadb.galera_node.position import Position

HISTORY, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
NODES = ("mariadb1", "mariadb2", "mariadb3")


def waiting(node: str, seqno: int | None, history: str = HISTORY) -> Report:
    return Report(node, Phase.WAITING, None if seqno is None else Position(history, seqno))


def new(node: str) -> Report:
    return Report(node, Phase.WAITING, born=True)


def decisions(*reports: Report | None, forced: str = "") -> dict[str, Decision]:
    """What each node that is there decides."""
    named = dict(zip(NODES, reports, strict=True))
    return {
        name: decide(report, {other: named[other] for other in NODES if other != name}, forced=name == forced)
        for name, report in named.items()
        if report is not None and report.phase is Phase.WAITING
    }


def beginners(decided: Mapping[str, Decision]) -> list[str]:
    return [name for name, decision in decided.items() if isinstance(decision, Begin)]


def test_three_new_nodes_are_begun_by_the_first() -> None:
    assert beginners(decisions(*(new(node) for node in NODES))) == ["mariadb1"]


@pytest.mark.parametrize("seqnos", list(itertools.permutations((7, 8, 9))))
def test_after_a_whole_crash_the_one_that_goes_furthest_begins(seqnos: tuple[int, ...]) -> None:
    decided = decisions(*map(waiting, NODES, seqnos))

    assert beginners(decided) == [NODES[seqnos.index(9)]]


def test_among_equals_the_first_begins() -> None:
    assert beginners(decisions(*(waiting(node, 9) for node in NODES))) == ["mariadb1"]


@pytest.mark.parametrize("away", NODES)
def test_nobody_begins_while_one_is_away(away: str) -> None:
    decided = decisions(*(None if node == away else waiting(node, 9) for node in NODES))

    assert beginners(decided) == []


@pytest.mark.parametrize("away", NODES)
def test_no_new_node_begins_while_one_is_away(away: str) -> None:
    assert beginners(decisions(*(None if node == away else new(node) for node in NODES))) == []


@pytest.mark.parametrize("phase", [Phase.RECOVERING, Phase.STARTING, Phase.JOINING, Phase.LOST])
def test_nobody_begins_while_one_is_busy(phase: Phase) -> None:
    decided = decisions(waiting("mariadb1", 9), waiting("mariadb2", 8), Report("mariadb3", phase))

    assert beginners(decided) == []


@pytest.mark.parametrize("mine", [None, 3, 9, 12])
def test_where_a_cluster_runs_nobody_begins(mine: int | None) -> None:
    primary = Report("mariadb3", Phase.PRIMARY, Position(HISTORY, -1))

    decided = decisions(waiting("mariadb1", mine), None, primary, forced="mariadb1")

    assert decided == {"mariadb1": Join("mariadb3", HISTORY)}


def test_a_new_node_never_begins_before_one_that_has_data() -> None:
    assert beginners(decisions(new("mariadb1"), new("mariadb2"), waiting("mariadb3", 5))) == ["mariadb3"]


def test_a_node_that_was_being_sent_its_data_stands_back() -> None:
    assert beginners(decisions(waiting("mariadb1", None), waiting("mariadb2", 5), waiting("mariadb3", 4))) == [
        "mariadb2"
    ]


def test_nobody_begins_when_somebodys_data_is_of_unknown_extent_and_all_others_are_new() -> None:
    assert beginners(decisions(waiting("mariadb1", None), new("mariadb2"), new("mariadb3"))) == []


def test_two_histories_wait_for_a_person() -> None:
    decided = decisions(waiting("mariadb1", 9), waiting("mariadb2", 5, OTHER), waiting("mariadb3", 9))

    assert all(isinstance(decision, Wait) for decision in decided.values())


def test_a_person_may_begin_without_those_that_are_away() -> None:
    decided = decisions(None, waiting("mariadb2", 5), waiting("mariadb3", 4), forced="mariadb2")

    assert beginners(decided) == ["mariadb2"]


def test_not_even_a_person_begins_with_a_node_that_is_behind_one_that_is_there() -> None:
    decided = decisions(None, waiting("mariadb2", 5), waiting("mariadb3", 4), forced="mariadb3")

    assert beginners(decided) == []


POSITIONS = [None, Position(HISTORY, 1), Position(HISTORY, 2), Position(OTHER, 3)]


def test_there_are_never_two_that_begin() -> None:
    """Every state that three nodes can be in: 7 phases or away, 4 positions, new or not."""
    states: list[tuple[Phase | None, Position | None, bool]] = [(None, None, False)]
    states += [(phase, position, False) for phase in Phase for position in POSITIONS]
    states += [(Phase.WAITING, None, True)]
    for combination in itertools.product(states, repeat=3):
        reports = [
            Report(node, phase, position, born) if phase else None
            for node, (phase, position, born) in zip(NODES, combination, strict=True)
        ]
        began = beginners(decisions(*reports))
        assert len(began) <= 1, combination
        if began:
            assert all(report and report.phase is Phase.WAITING for report in reports), combination


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((Phase.WAITING, Phase.WAITING), True),
        ((Phase.WAITING, Phase.LOST), True),
        ((Phase.WAITING, Phase.PRIMARY), False),
        ((Phase.WAITING, Phase.STARTING), False),
        ((Phase.LOST, None), False),
    ],
)
def test_a_server_apart_from_the_majority_stands_down_only_when_nobody_goes_on(
    others: tuple[Phase, Phase | None], expected: bool
) -> None:
    peers = {name: Report(name, phase) if phase else None for name, phase in zip(NODES[1:], others, strict=True)}

    assert stands_down(peers) is expected


def test_nodes_come_in_one_after_the_other() -> None:
    second = {"mariadb1": Report("mariadb1", Phase.PRIMARY), "mariadb3": waiting("mariadb3", 4)}
    third = {"mariadb1": Report("mariadb1", Phase.PRIMARY), "mariadb2": Report("mariadb2", Phase.STARTING)}

    assert ahead_in_turn("mariadb2", second) == []
    assert ahead_in_turn("mariadb3", third) == ["mariadb2"]
    assert ahead_in_turn("mariadb3", third | {"mariadb2": Report("mariadb2", Phase.JOINING)}) == []
