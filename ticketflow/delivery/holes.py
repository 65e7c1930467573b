"""Which seqs of a range are missing. Pure.

seq is gapless, so a range that has as many different seqs as its length has them all; only when it has not is it worth
knowing which.
"""

from collections.abc import Iterable

RANGES_MAX = 100  # of one look: what lies between the last of them and the last hole is taken for missing too


def missing(first_seq: int, last_seq: int, seqs: Iterable[int], ranges_max: int = RANGES_MAX) -> list[tuple[int, int]]:
    """The holes in ``first_seq..last_seq``, as (first, last), in order; ``seqs`` are there, in any order."""
    holes: list[tuple[int, int]] = []
    wanted = first_seq
    for seq in [*sorted({seq for seq in seqs if first_seq <= seq <= last_seq}), last_seq + 1]:
        if seq > wanted:
            holes.append((wanted, seq - 1))
        wanted = seq + 1
    if len(holes) > ranges_max:
        return [*holes[: ranges_max - 1], (holes[ranges_max - 1][0], holes[-1][1])]
    return holes


def within(first_seq: int, last_seq: int, ranges: Iterable[tuple[int, int]]) -> list[int]:
    """The seqs of ``ranges`` that lie in ``first_seq..last_seq``."""
    return [seq for first, last in ranges for seq in range(max(first, first_seq), min(last, last_seq) + 1)]
