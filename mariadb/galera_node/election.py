"""Who begins when no cluster runs. A pure function of what the nodes say of themselves.

Laws:
- Where a primary component runs, a node joins it.
- Otherwise the node whose data goes furthest begins, and only when every node that may have gone further is there, says
  how far its data goes, and waits. Those are the members of the last primary component that the furthest one knows of;
  where that is not known, all nodes of the list. A later component would have had one of them as its member.
- While a node waits its position stands still: so all come to the same answer, each by itself, without a vote.
- Two histories are never merged: that takes a person.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from mariadb.galera_node.position import Position


class Phase(StrEnum):
    RECOVERING = "recovering"  # finding out its position
    WAITING = "waiting"  # knows it; no server runs
    STARTING = "starting"  # the server runs and belongs to no component yet
    JOINING = "joining"  # the server belongs to the primary component, and is being sent what it misses
    PRIMARY = "primary"  # the server belongs to the primary component, with its data
    LOST = "lost"  # the server runs, apart from the majority


@dataclass(frozen=True)
class Report:
    """What one node says.

    ``born``: it has no position because nothing was ever committed to its data.
    ``component``: the members of the last primary component that it belonged to; empty when it does not know.
    """

    node: str
    phase: Phase
    position: Position | None = None
    born: bool = False
    component: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Join:
    """``history`` is the one that the primary component goes on with."""

    through: str
    history: str


@dataclass(frozen=True)
class Begin:
    reason: str


@dataclass(frozen=True)
class Wait:
    reason: str


Decision = Join | Begin | Wait


def decide(me: Report, peers: Mapping[str, Report | None], *, forced: bool = False) -> Decision:
    """``peers`` has every other node of the list, None for a silent one. ``forced``: a person takes the blame."""
    there = sorted((report for report in peers.values() if report is not None), key=lambda report: report.node)
    for report in there:
        if report.phase is Phase.PRIMARY and report.position is not None:
            return Join(report.node, report.position.history)
    first = furthest([me, *(report for report in there if report.phase is Phase.WAITING)])
    if isinstance(first, Wait):
        return first
    counts = (first.component if first.position else frozenset()) or {me.node, *peers}
    busy = [report.node for report in there if _is_busy(report, counts)]
    if busy:
        return Wait(f"busy: {', '.join(busy)}")
    away = sorted(name for name, report in peers.items() if report is None and name in counts)
    if away and not forced:
        return Wait(f"away: {', '.join(away)}")
    if first.node != me.node:
        return Wait(f"{first.node} begins")
    return Begin(f"forced, without {', '.join(away)}" if away else "furthest of all that count")


def _is_busy(report: Report, counts: Set[str]) -> bool:
    """A node that cannot read its own data keeps the others waiting only when it may have gone further."""
    return report.phase is not Phase.WAITING and (report.phase is not Phase.RECOVERING or report.node in counts)


def furthest(reports: list[Report]) -> Report | Wait:
    """The node to begin with; the first by name among equals."""
    lived = [report for report in reports if report.position]
    candidates = lived or [report for report in reports if report.born]
    if len(candidates) < (1 if lived else len(reports)):
        return Wait("no node knows how far its data goes: a person must choose")
    if len({report.position.history for report in candidates if report.position}) > 1:
        return Wait("the nodes have different histories: a person must choose")
    return min(candidates, key=lambda report: (-report.position.seqno if report.position else 0, report.node))


def stands_down(me: Report, peers: Mapping[str, Report | None]) -> bool:
    """Whether a server apart from the majority should stop, so that all begin anew: those that were with it in the last
    primary component are there, and nobody goes on."""
    needed = me.component or peers.keys()
    return all(
        report.phase in (Phase.WAITING, Phase.LOST) if report else name not in needed for name, report in peers.items()
    )


def ahead_in_turn(me: str, peers: Mapping[str, Report | None]) -> list[str]:
    """Who should come into the cluster first. Two that come at once can hold up the members' agreement for seconds."""
    coming = (Phase.WAITING, Phase.STARTING)
    return sorted(name for name, report in peers.items() if name < me and report is not None and report.phase in coming)
