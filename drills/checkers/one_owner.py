"""one-owner: a seat never has two owners.

Two witnesses. The answers that buyers got: a hold is surely its buyer's from its acknowledgement until its time and
grace are over at the earliest, or until somebody may have released it; and again from when it was shown CONFIRMED. (A
hold that was never acknowledged witnesses nothing, whether or not it exists.) And the stores: who had a seat from when
to when, by the clock of the one database that decides; who has it now; who has a ticket for it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import inf
from typing import NamedTuple

from drills.checkers.finding import Finding, finding
from drills.history import History, Hold, Op

NAME = "one-owner"

# The driver measures with a monotonic clock, the database with the host's; NTP may slew the second by 0.5 ms/s, which
# is 0.2 s in the longest hold of a drill.
SLEW_S = 0.2


class Span(NamedTuple):
    began_s: float
    ended_s: float

    def overlaps(self, other: "Span") -> bool:
        return max(self.began_s, other.began_s) < min(self.ended_s, other.ended_s)

    def contains(self, other: "Span") -> bool:
        return self.began_s <= other.began_s and other.ended_s <= self.ended_s


class Claim(NamedTuple):
    """``placed``: somewhere in here the hold was placed. ``sure``: its buyer surely owned the seats then."""

    order_id: str
    buyer: str
    placed: Span
    sure: tuple[Span, ...]

    def conflicts(self, other: "Claim") -> bool:
        return (
            any(one.overlaps(two) for one in self.sure for two in other.sure)
            or any(span.contains(other.placed) for span in self.sure)
            or any(span.contains(self.placed) for span in other.sure)
        )


def check(history: History) -> Finding:
    problems = [
        *_by_answers(history),
        *_by_holds(history),
        *_by_units(history),
        *_by_tickets(history),
    ]
    seats = {seat for hold in history.stores.holds for seat in hold.seats}
    return finding(NAME, problems, f"{len(seats)} seats in {len(history.stores.holds)} holds, never two owners")


# -- the answers


def _by_answers(history: History) -> Iterator[str]:
    claims = _claims(history)
    seats: dict[str, list[Claim]] = defaultdict(list)
    for op in history.ops:
        if op.action == "hold" and op.outcome == "ok":
            for seat in op.seats:
                if claims[op.order_id] not in seats[seat]:
                    seats[seat].append(claims[op.order_id])
    for seat, holds in seats.items():
        for one, two in combinations(sorted(holds, key=lambda claim: claim.placed.ended_s), 2):
            if one.conflicts(two):
                yield (
                    f"seat {seat} was given to {one.buyer} (hold {one.order_id}, {one.placed.ended_s:.3f} s) and to"
                    f" {two.buyer} (hold {two.order_id}, {two.placed.ended_s:.3f} s), with no release or expiry between"
                )


def _claims(history: History) -> dict[str, Claim]:
    """Of every acknowledged hold."""
    first_try: dict[tuple[str, str], float] = {}
    acknowledged: dict[str, list[Op]] = defaultdict(list)
    given_up: dict[str, float] = {}
    confirmed: dict[str, float] = {}
    for op in history.ops:
        if op.action == "hold":
            wish = (op.buyer, op.key)
            first_try[wish] = min(op.began_s, first_try.get(wish, inf))
            if op.outcome == "ok":
                acknowledged[op.order_id].append(op)
        elif op.action == "release" and op.outcome != "refused":  # an indefinite one may have released it
            given_up[op.order_id] = min(op.began_s, given_up.get(op.order_id, inf))
        elif op.outcome == "ok" and op.state == "CONFIRMED":
            confirmed[op.order_id] = min(op.ended_s, confirmed.get(op.order_id, inf))
    lasts_s = history.show.hold_ttl_s + history.show.grace_s - SLEW_S
    claims = {}
    for order_id, ops in acknowledged.items():
        began_s = min(first_try[op.buyer, op.key] for op in ops)
        ended_s = min(op.ended_s for op in ops)
        held = Span(ended_s, min(began_s + lasts_s, given_up.get(order_id, inf)))
        sold = Span(confirmed.get(order_id, inf), inf)
        sure = tuple(span for span in (held, sold) if span.began_s < span.ended_s)
        claims[order_id] = Claim(order_id, ops[0].buyer, Span(began_s, ended_s), sure)
    return claims


# -- the stores


def _by_holds(history: History) -> Iterator[str]:
    seats: dict[str, list[tuple[Span, Hold]]] = defaultdict(list)
    for hold in history.stores.holds:
        for span in _owned(hold):
            for seat in hold.seats:
                seats[seat].append((span, hold))
    for seat, owned in seats.items():
        for (one, first), (two, second) in combinations(owned, 2):
            if first is not second and one.overlaps(two):
                yield (
                    f"seat {seat} was hold {first.hold_id}'s ({first.state}, {_told(one, history)}) and hold"
                    f" {second.hold_id}'s ({second.state}, {_told(two, history)}) at once"
                )


def _owned(hold: Hold) -> Sequence[Span]:
    """When its seats were its own. A late settlement finds them free again: sold is a span of its own."""
    until, ended = hold.held_until_at_s, hold.ended_at_s if hold.ended_at_s is not None else inf
    held = Span(hold.placed_at_s, min(until, ended))
    return (held, Span(ended, inf)) if hold.state == "SOLD" else (held,)


def _by_units(history: History) -> Iterator[str]:
    holds = {hold.hold_id: hold for hold in history.stores.holds}
    owner_of: dict[str, str | None] = {}
    for unit in history.stores.units:
        if unit.seat in owner_of:
            yield f"seat {unit.seat} has two rows"
        owner_of[unit.seat] = unit.hold_id if unit.state != "free" else None
        if unit.state == "free":
            continue
        hold = holds.get(unit.hold_id or "")
        if hold is None:
            yield f"seat {unit.seat} is {unit.state} by hold {unit.hold_id}, which does not exist"
        elif unit.seat not in hold.seats:
            yield f"seat {unit.seat} is {unit.state} by hold {unit.hold_id}, which never asked for it"
        elif unit.state == "sold" and hold.state != "SOLD":
            yield f"seat {unit.seat} is sold by hold {unit.hold_id}, which is {hold.state}"
    for hold in history.stores.holds:
        for seat in hold.seats:
            if hold.state == "SOLD" and owner_of.get(seat) != hold.hold_id:
                yield f"hold {hold.hold_id} is SOLD, and its seat {seat} is {owner_of.get(seat) or 'nobody'}'s"


def _by_tickets(history: History) -> Iterator[str]:
    issued = [(ticket.ticket_id, ticket.order_id, ticket.seat) for ticket in history.stores.tickets]
    shown = [(ticket_id, sale.order_id, seat) for sale in history.stores.sales for ticket_id, seat in sale.tickets]
    for store, tickets in (("billing", issued), ("portal", shown)):
        first: dict[str, tuple[str, str]] = {}
        for ticket_id, order_id, seat in tickets:
            if seat in first:
                other_id, other_order = first[seat]
                yield (
                    f"{store}: seat {seat} has two tickets: {other_id} (order {other_order}) and {ticket_id}"
                    f" (order {order_id})"
                )
            first[seat] = (ticket_id, order_id)


def _told(span: Span, history: History) -> str:
    began_s, ended_s = (at_s - history.started_at_s for at_s in span)
    return f"{began_s:.3f} s to {'the end' if ended_s == inf else f'{ended_s:.3f} s'}"
