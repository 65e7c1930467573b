"""Who relays how many lanes. Pure.

Laws:
- No lane waits for justice: whoever finds a free lease takes it, the one who has most a little later than the others.
- Of those who have most, one lets go, one lane at a time, and only where that makes the difference smaller.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Advice(NamedTuple):
    """``yields``: let one lane go. ``waits``: leave a free lane to the others for a moment."""

    yields: bool
    waits: bool


def advice(owner: str, held: int, replicas: Sequence[tuple[str, int]]) -> Advice:
    """For ``owner``, who relays ``held``, among ``replicas`` as (owner, held); whether he is one of them or not."""
    others = [count for name, count in replicas if name != owner]
    if not others:
        return Advice(False, False)
    fewest = min(others)
    first = min([name for name, count in replicas if name != owner and count == held] + [owner]) == owner
    return Advice(yields=held >= max(others) and held - fewest >= 2 and first, waits=held > fewest)
