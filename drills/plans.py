"""Who comes when, and what for: the workload before it meets the shop.

Laws of this file:
- Pure and seeded: the same seed gives the same buyers, whatever becomes of those before them.
- Open loop: buyers come at a fixed rate. A shop that is slow does not make them come later.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

JITTER = 0.2  # of the pause between two buyers: evenly spaced, yet not in step with anything else that ticks

ELBOW_SHARE = 0.1  # wants the very seats that somebody is just asking for
LOOK_SHARE = 0.05  # reads the whole plan of the hall first: the others saw it before
SEATED_SHARE = 0.6
DECLINED_SHARE = 0.03  # whose first card is declined
SEATS_WEIGHTS = {1: 5, 2: 4, 3: 1}
THINK_S = (0.2, 2.0)  # between the hold and paying or giving back


class Behaviour(StrEnum):
    BUY = "buys"
    NO_SHOW = "does not come back"
    RELEASE = "gives the seats back"
    LATE = "pays too late"
    IMPATIENT = "asks three times at once"  # with the same key; and then buys


SHARES = {
    Behaviour.BUY: 70,
    Behaviour.NO_SHOW: 10,
    Behaviour.RELEASE: 10,
    Behaviour.LATE: 5,
    Behaviour.IMPATIENT: 5,
}
LINGERING = (Behaviour.NO_SHOW, Behaviour.LATE)  # whose holds end by their time only


@dataclass(frozen=True)
class Plan:
    """One buyer. ``arrives_s``: after the first could. ``chance_seed``: for whatever he decides on the way."""

    number: int
    buyer_id: str
    arrives_s: float
    behaviour: Behaviour
    places: int
    seated: bool
    elbows: bool
    looks: bool
    think_s: float
    cards: tuple[str, ...]
    chance_seed: str

    def staying(self) -> "Plan":
        """The same buyer, but one that does not leave a hold to run out."""
        if self.behaviour not in LINGERING:
            return self
        return Plan(**{**self.__dict__, "behaviour": Behaviour.RELEASE})


def plans(seed: int, rate_s: float, prefix: str) -> Iterator[Plan]:
    """Without end. ``rate_s``: buyers a second; their ids begin with ``prefix``, which is the drill's own."""
    number = 0
    while True:
        number += 1
        chance_seed = f"{seed}:{number}"
        chance = random.Random(chance_seed)  # noqa: S311 - chance, no secret
        behaviour = chance.choices(list(SHARES), list(SHARES.values()))[0]
        declined = chance.random() < DECLINED_SHARE
        yield Plan(
            number=number,
            buyer_id=f"{prefix}-{number:05}",
            arrives_s=(number + chance.uniform(-JITTER, JITTER)) / rate_s,
            behaviour=behaviour,
            places=chance.choices(list(SEATS_WEIGHTS), list(SEATS_WEIGHTS.values()))[0],
            seated=chance.random() < SEATED_SHARE,
            elbows=chance.random() < ELBOW_SHARE,
            looks=chance.random() < LOOK_SHARE,
            think_s=chance.uniform(*THINK_S),
            cards=("tok_declined", "tok_ok") if declined else ("tok_ok",),
            chance_seed=chance_seed,
        )
