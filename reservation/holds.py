"""The rules of holds: what may happen to one, and when.

Laws of this file:
- Pure: facts and the time come in, verdicts go out. It knows no clock, no store and no HTTP.
- The clock that counts is the database's; `now` is what it said when the rows were locked.
- A hold has three moments. IN_TIME: the buyer may begin to pay, or release. IN_GRACE: the seats are still his, so that
  a sale paid in time can be settled. OVER: anybody may take the seats, whether or not a sweeper has been there.
- SOLD and RELEASED are final. EXPIRED is not quite: money that was set aside in time and arrives late still gets the
  seats, if they all are free or still the hold's own. For those that are gone it gets equal ones, all of them or none,
  if the buyer agreed to that when he took the hold.
- One hold is sold to one payment. A second payment is lost, and so given back.
- What was decided about a payment stays: asked again, sold is sold and lost is lost, whatever is free by then. The
  money may be on its way back already.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from ticketflow.events import EndReason

PLACES_PER_HOLD_MAX = 50  # no event may allow more (events.seats_per_hold_max)


class State(StrEnum):
    """As stored. A HELD row whose time is over has ended all the same."""

    HELD = "HELD"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"
    SOLD = "SOLD"


class Late(StrEnum):
    """What the buyer agreed to, should his seats be gone when the money arrives."""

    REFUND = "refund"
    SAME_TIER = "same_tier"


class Moment(StrEnum):
    IN_TIME = "in time"
    IN_GRACE = "in grace"
    OVER = "over"


class Verdict(StrEnum):
    """What to do about a command; the store carries it out."""

    RELEASE = "free the seats, tell hold.released"
    EXPIRE = "free the seats, tell hold.expired"
    SELL = "mark the seats sold, tell hold.sold"
    MOVE = "take equal places for those that are gone, then SELL; LOSE_TAKEN when there are not enough"
    TELL_AGAIN = "tell hold.sold, as it was told; change nothing"
    NOTHING = "it is so already, or not yet: change nothing, tell nothing"
    REFUSE_EXPIRED = "refuse: hold_expired"
    REFUSE_SOLD = "refuse: hold_sold"
    LOSE_RELEASED = "tell hold.lost, reason released"
    LOSE_TAKEN = "tell hold.lost, reason taken"


class Rule(NamedTuple):
    """The verdict on each command. ``settle`` stands for a first payment whose seats can all be had."""

    release: Verdict
    expire: Verdict
    settle: Verdict


V = Verdict
RULES: dict[tuple[State, Moment], Rule] = {
    (State.HELD, Moment.IN_TIME): Rule(V.RELEASE, V.NOTHING, V.SELL),
    (State.HELD, Moment.IN_GRACE): Rule(V.REFUSE_EXPIRED, V.NOTHING, V.SELL),
    (State.HELD, Moment.OVER): Rule(V.REFUSE_EXPIRED, V.EXPIRE, V.SELL),
    **{(State.EXPIRED, moment): Rule(V.REFUSE_EXPIRED, V.NOTHING, V.SELL) for moment in Moment},
    **{(State.RELEASED, moment): Rule(V.NOTHING, V.NOTHING, V.LOSE_RELEASED) for moment in Moment},
    **{(State.SOLD, moment): Rule(V.REFUSE_SOLD, V.NOTHING, V.TELL_AGAIN) for moment in Moment},
}

LOST_BECAUSE: dict[Verdict, EndReason] = {Verdict.LOSE_RELEASED: "released", Verdict.LOSE_TAKEN: "taken"}


class Facts(NamedTuple):
    """A hold as its locked row says, and the time by the database's clock."""

    state: State
    expires_at: datetime
    held_until: datetime
    payment_id: str | None
    lost_payments: Sequence[str]
    late: Late
    now: datetime

    @property
    def moment(self) -> Moment:
        if self.now < self.expires_at:
            return Moment.IN_TIME
        return Moment.IN_GRACE if self.now < self.held_until else Moment.OVER

    @property
    def rule(self) -> Rule:
        return RULES[self.state, self.moment]

    @property
    def shown(self) -> State:
        """What the buyer sees: from ``expires_at`` on paying is too late, so the hold shows as expired."""
        over = self.state is State.HELD and self.moment is not Moment.IN_TIME
        return State.EXPIRED if over else self.state


class Place(NamedTuple):
    """A place that a hold has a line for, as its locked row says. ``hold_id`` is its present owner."""

    state: str
    hold_id: str | None
    held_until: datetime | None


def can_be_taken(place: Place, now: datetime) -> bool:
    """Whether anybody may take it: free, or held by a hold that is over. The same rule stands in SQL, by this name."""
    return place.state == "free" or (place.state == "held" and place.held_until is not None and place.held_until <= now)


def is_gone(hold_id: str, place: Place, now: datetime) -> bool:
    """Whether a hold that is settled now cannot have the place."""
    return place.hold_id != hold_id and not can_be_taken(place, now)


def settle(hold_id: str, facts: Facts, payment_id: str, places: Sequence[Place]) -> Verdict:
    """The verdict on a paid hold. ``places``: one for each line."""
    verdict = facts.rule.settle
    if facts.state is State.SOLD and facts.payment_id != payment_id:
        return Verdict.LOSE_TAKEN
    if verdict is Verdict.SELL and payment_id in facts.lost_payments:
        return Verdict.LOSE_TAKEN
    if verdict is Verdict.SELL and any(is_gone(hold_id, place, facts.now) for place in places):
        return Verdict.MOVE if facts.late is Late.SAME_TIER else Verdict.LOSE_TAKEN
    return verdict
