"""A goal: what is measured, against what, and the ratio to reach."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from bench.run import Run

Reach = Literal["at least", "at most"]
Notes = Mapping[str, float | int | str]


class Round(NamedTuple):
    """What one round gave, both in the goal's unit."""

    ours: float
    other: float


class Measured(NamedTuple):
    """``notes``: figures that belong to it, by a name with its unit; printed and kept."""

    rounds: Sequence[Round]
    notes: Notes = MappingProxyType({})

    @classmethod
    def typical(cls, found: Sequence[tuple[Round, Notes]]) -> Self:
        """Of rounds with notes of their own: those of the middle one, by what ours did."""
        middle = sorted(found, key=lambda one: one[0].ours)[(len(found) - 1) // 2]
        return cls([each for each, _ in found], middle[1])

    @property
    def ours(self) -> float:
        return median(one.ours for one in self.rounds)

    @property
    def other(self) -> float:
        return median(one.other for one in self.rounds)

    @property
    def ratio(self) -> float:
        """The median of the rounds' own ratios: a machine that slows down in one round slows both sides of it."""
        return median(one.ours / one.other for one in self.rounds)


class Goal(NamedTuple):
    """``name``: on the command line. ``measure`` runs at least ``run.rounds`` rounds and checks what came out."""

    name: str
    what: str  # in one line, what ours does
    other: str  # in one line, what it is measured against
    unit: str  # of both sides: events/s, ms, ...
    reach: Reach
    ratio: float  # ours / other, at least or at most
    measure: "Callable[[Run], Coroutine[Any, Any, Measured]]"

    def met(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.reach == "at least" else ratio <= self.ratio
