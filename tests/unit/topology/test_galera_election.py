"""Who begins a Galera cluster, and who must not."""

import itertools
import random
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


def waiting(node: str, seqno: int | None, history: str = HISTORY, component: str = "") -> Report:
    """``component``: the numbers of the nodes, as "23"."""
    members = frozenset(f"mariadb{number}" for number in component)
    return Report(node, Phase.WAITING, None if seqno is None else Position(history, seqno), component=members)


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


def test_a_node_that_the_last_component_had_lost_before_is_not_waited_for() -> None:
    assert beginners(decisions(None, waiting("mariadb2", 9, component="23"), waiting("mariadb3", 8))) == ["mariadb2"]


def test_the_last_to_leave_begins_by_itself() -> None:
    assert beginners(decisions(None, None, waiting("mariadb3", 9, component="3"))) == ["mariadb3"]


def test_one_that_left_earlier_waits_for_those_that_stayed() -> None:
    assert beginners(decisions(waiting("mariadb1", 9, component="123"), None, None)) == []
    assert beginners(decisions(None, waiting("mariadb2", 9, component="23"), None)) == []


def test_data_that_cannot_be_read_counts_only_when_it_may_go_further() -> None:
    unreadable = Report("mariadb3", Phase.RECOVERING)

    old = decisions(waiting("mariadb1", 9, component="12"), waiting("mariadb2", 9, component="12"), unreadable)
    recent = decisions(waiting("mariadb1", 9, component="123"), waiting("mariadb2", 9, component="123"), unreadable)

    assert beginners(old) == ["mariadb1"]
    assert beginners(recent) == []


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


class World:
    """Three nodes, Galera's rules of who may commit, and everything that was ever acknowledged."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.seqno = dict.fromkeys(NODES, 0)
        self.component: dict[str, frozenset[str]] = dict.fromkeys(NODES, frozenset())
        self.waiting = set[str]()
        self.cluster = frozenset(NODES)
        self.acknowledged = 0
        self.begun = 0
        self._agree()

    def _agree(self) -> None:
        """A view is a write set too; each member notes it."""
        self.acknowledged += bool(self.cluster)
        for node in self.cluster:
            self.seqno[node], self.component[node] = self.acknowledged, self.cluster

    def commit(self) -> None:
        """Durable at the writer when acknowledged, at the others a little later."""
        if self.cluster:
            self.acknowledged += 1
            writer = min(self.cluster)
            for node in self.cluster:
                self.seqno[node] = self.acknowledged - (0 if node == writer else self.chance.randint(0, 1))

    def crash(self, nodes: set[str]) -> None:
        """What is left goes on when it is more than half."""
        self.waiting -= nodes
        left = self.cluster - nodes
        if left == self.cluster:
            return
        if 2 * len(left) > len(self.cluster):
            self.cluster = left
            self._agree()
        else:
            self.cluster = frozenset()  # the survivors stand down once all are there: as if they had crashed too

    def leave(self, node: str) -> None:
        """A stop by hand: the others go on, even when it is one. Who leaves has everything."""
        if node in self.cluster:
            self.seqno[node] = self.acknowledged
            self.cluster -= {node}
            self._agree()
        self.waiting.discard(node)

    def start(self, node: str) -> None:
        if self.cluster:
            self.cluster |= {node}
            self._agree()
        else:
            self.waiting.add(node)

    def elect(self) -> None:
        if self.cluster:
            return
        reports = [
            Report(node, Phase.WAITING, Position(HISTORY, self.seqno[node]), component=self.component[node])
            if node in self.waiting
            else None
            for node in NODES
        ]
        for node in beginners(decisions(*reports)):
            assert self.seqno[node] == self.acknowledged, "a cluster was begun without what had been acknowledged"
            self.begun += 1
            self.cluster = frozenset(self.waiting)
            self.waiting.clear()
            self._agree()

    def step(self) -> None:
        some = set(self.chance.sample(NODES, self.chance.randint(1, 3)))
        match self.chance.randrange(6):
            case 0:
                self.crash(some)
            case 1:
                self.leave(self.chance.choice(NODES))
            case 2 | 3:
                self.start(self.chance.choice(NODES))
            case 4:
                self.commit()
            case 5:
                self.elect()


def test_no_run_of_crashes_stops_and_starts_begins_without_what_was_acknowledged() -> None:
    begun = 0
    for seed in range(300):
        world = World(seed)
        for _ in range(100):
            world.step()
        begun += world.begun

    assert begun > 300  # it does recover


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

    assert stands_down(Report("mariadb1", Phase.LOST), peers) is expected


def test_a_server_apart_does_not_wait_for_one_that_the_last_component_had_lost_before() -> None:
    me = Report("mariadb1", Phase.LOST, component=frozenset({"mariadb1", "mariadb2"}))

    assert stands_down(me, {"mariadb2": waiting("mariadb2", 9), "mariadb3": None})
    assert not stands_down(me, {"mariadb2": None, "mariadb3": waiting("mariadb3", 9)})


def test_nodes_come_in_one_after_the_other() -> None:
    second = {"mariadb1": Report("mariadb1", Phase.PRIMARY), "mariadb3": waiting("mariadb3", 4)}
    third = {"mariadb1": Report("mariadb1", Phase.PRIMARY), "mariadb2": Report("mariadb2", Phase.STARTING)}

    assert ahead_in_turn("mariadb2", second) == []
    assert ahead_in_turn("mariadb3", third) == ["mariadb2"]
    assert ahead_in_turn("mariadb3", third | {"mariadb2": Report("mariadb2", Phase.JOINING)}) == []
