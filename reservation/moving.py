"""Which seats a buyer gets when his money comes late and his own are gone.

Laws: pure and deterministic; all that are wanted or none; neighbours before nearness: seats side by side in one row,
if there are any, and of those the nearest to what was lost. General admission needs none of this.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple


class Seat(NamedTuple):
    """A numbered seat. The ids of an event's seats are in the order of its rows and numbers."""

    unit_id: str
    row: str
    number: int


def choose(wanted: int, near: Seat, free: Iterable[Seat]) -> list[Seat] | None:
    """``wanted`` seats of ``free``, in their order; None when there are fewer."""
    seats = sorted(set(free), key=lambda seat: (seat.row, seat.number))
    if len(seats) < wanted:
        return None
    distance = _distance_from(near, sorted(seat.unit_id for seat in seats))
    runs = _runs(seats)
    together = [run[start : start + wanted] for run in runs for start in range(len(run) - wanted + 1)]
    if together:
        return min(together, key=distance)
    longest_first = sorted(runs, key=lambda run: (-len(run), distance(run)))
    return sorted([seat for run in longest_first for seat in run][:wanted])


def _distance_from(near: Seat, in_order: Sequence[str]) -> Callable[[Sequence[Seat]], tuple[bool, int, str]]:
    """How far seats side by side are from ``near``: by number in its own row, by free seats between in any other."""
    here = bisect_left(in_order, near.unit_id)

    def steps(seat: Seat) -> int:
        if seat.row == near.row:
            return abs(seat.number - near.number)
        there = bisect_left(in_order, seat.unit_id)
        return there - here if there >= here else here - there - 1

    def distance(seats: Sequence[Seat]) -> tuple[bool, int, str]:
        return seats[0].row != near.row, min(map(steps, seats)), seats[0].unit_id

    return distance


def _runs(seats: Sequence[Seat]) -> list[list[Seat]]:
    """``seats``, sorted, cut wherever the next one is no neighbour."""
    runs: list[list[Seat]] = []
    for seat in seats:
        if runs and runs[-1][-1].row == seat.row and runs[-1][-1].number == seat.number - 1:
            runs[-1].append(seat)
        else:
            runs.append([seat])
    return runs
