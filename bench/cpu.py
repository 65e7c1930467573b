"""CPU time of processes and all their descendants, from /proc."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(roots: Mapping[str, int]) -> dict[str, float]:
    """User and system seconds so far of each tree; ``roots``: pid by name. What ended and was waited for counts too."""
    stats = dict(_stats())
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    return {name: sum(_tree(pid, stats, children)) for name, pid in roots.items()}


def used_s(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What each used between two looks."""
    return {name: after[name] - before[name] for name in after if name in before}


def children(pid: int) -> set[int]:
    """The processes that ``pid`` has started and not waited for."""
    return {child for child, (parent, _, _) in _stats() if parent == pid}


def _tree(
    pid: int, stats: Mapping[int, tuple[int, float, float]], children: Mapping[int, list[int]]
) -> Iterable[float]:
    if pid in stats:
        _, own, waited = stats[pid]
        yield own + waited
        for child in children.get(pid, ()):
            yield from _tree(child, stats, children)


def _stats() -> Iterable[tuple[int, tuple[int, float, float]]]:
    """pid: parent, own seconds, seconds of children that were waited for."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            own = (int(fields[11]) + int(fields[12])) / _TICKS
            waited = (int(fields[13]) + int(fields[14])) / _TICKS
            yield int(folder.name), (int(fields[1]), own, waited)
