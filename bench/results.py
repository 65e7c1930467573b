"""What `make bench` keeps: one file a release, `bench/results/<date>.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.goal import Goal, Measured, Reach
from drills.machine import Machine

FOLDER = Path(__file__).resolve().parent / "results"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """``ours`` and ``other`` are medians in ``unit``; ``ratio`` is the median of the rounds' ratios."""

    name: str
    ours: float
    other: float
    ratio: float
    goal: float
    met: bool
    reach: Reach
    unit: str
    against: str
    rounds: int
    notes: Mapping[str, float | int | str] = {}

    @classmethod
    def of(cls, goal: Goal, measured: Measured) -> "Result":
        return cls(
            name=goal.name,
            ours=_figure(measured.ours),
            other=_figure(measured.other),
            ratio=_figure(measured.ratio),
            goal=goal.ratio,
            met=goal.met(measured.ratio),
            reach=goal.reach,
            unit=goal.unit,
            against=goal.other,
            rounds=len(measured.rounds),
            notes=dict(measured.notes),
        )

    def __str__(self) -> str:
        verdict = "met" if self.met else "MISSED"
        sign = ">=" if self.reach == "at least" else "<="
        return (
            f"{self.name:<24} {self.ours:>10,.4g} : {self.other:>10,.4g} {self.unit:<14}"
            f" {self.ratio:>7.3g}x  {sign} {self.goal:<6g} {verdict}"
        )


class Results(msgspec.Struct, frozen=True):
    """``machine``: where they were measured, without which no figure means anything."""

    machine: Machine
    goals: Sequence[Result]


def read(file: Path) -> Results:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(file.read_bytes(), type=Results)


def keep(file: Path, on: Machine, result: Result, names: Sequence[str]) -> None:
    """Puts it in the place of one of its name; what another machine measured goes. ``names``: in the order to keep."""
    kept = read(file) if file.exists() else Results(on, [])
    others = [one for one in kept.goals if one.name != result.name] if kept.machine == on else []
    goals = sorted([*others, result], key=lambda one: names.index(one.name) if one.name in names else len(names))
    write(file, Results(on, goals))


def write(file: Path, results: Results) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def _figure(value: float) -> float:
    """Four digits: no more is known."""
    return float(f"{value:.4g}")
