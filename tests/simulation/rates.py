"""How often the small things go wrong by themselves: all of them probabilities, drawn anew at every occasion."""

import random
from dataclasses import dataclass


@dataclass
class StoreRates:
    """Of one database."""

    slow: float = 0.2  # a statement that takes its time, so that another transaction comes in between
    victim: float = 0.0  # a statement whose transaction is chosen as the victim
    lost: float = 0.0  # a statement whose connection is lost
    commit: float = 0.0  # a COMMIT that does not simply succeed: see database.FATES


@dataclass
class WireRates:
    """Of the network, for each write or connection."""

    chop: float = 0.2  # bytes arrive in several pieces
    slow: float = 0.05  # a piece that takes up to a second
    cut: float = 0.0  # the connection breaks within the bytes of a write
    drop: float = 0.0  # one frame is gone, the connection goes on (no TCP does that; a broken proxy may)
    duplicate: float = 0.0  # one frame comes twice
    refuse: float = 0.0  # nobody takes the connection


def store_rates(rng: random.Random) -> StoreRates:
    """Of one seed: each kind of fault is there or not, rare or frequent."""
    return StoreRates(
        victim=_maybe(rng, 0.01), lost=_maybe(rng, 0.01), commit=_maybe(rng, 0.15), slow=rng.choice((0.05, 0.2, 0.5))
    )


def wire_rates(rng: random.Random) -> WireRates:
    return WireRates(
        chop=_maybe(rng, 0.4),
        slow=_maybe(rng, 0.2),
        cut=_maybe(rng, 0.05),
        drop=_maybe(rng, 0.03),
        duplicate=_maybe(rng, 0.05),
        refuse=_maybe(rng, 0.2),
    )


def _maybe(rng: random.Random, most: float) -> float:
    return rng.choice((0.0, 0.3, 1.0)) * most
