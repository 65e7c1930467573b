"""The figures of a drill: what buyers felt, and how long it took until all was well again.

Laws of this file:
- Pure functions of the history; all times are seconds since the drill began.
- "During the faults" is from the beginning of the first one to the end of the load; "steady" is the load before that.
- A gap is the time between two things of a kind that happened one after the other. It counts from the last one before
  its window, but ends with it: a fault's gap begins before the fault; after the load nothing has to happen any more.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from drills.checkers.stream import regressions_of
from drills.history import History, Op

# What passes by itself did not, as long as the buyer's patience lasted.
ERROR_CODES = frozenset({"order_not_yet", "payment_in_progress", "too_many_requests"})
ENDS = ("CONFIRMED", "FAILED")
# Of the roles that the watch tells of, those that somebody has to have: a timeline is nobody's.
LEADERS = ("primary", "writer", "leader")
RELAYS = "relay of "


class Gap(NamedTuple):
    """``began_s``: the last one before it. A window in which nothing happened is a gap as long as itself."""

    length_s: float
    began_s: float


class LeaderChange(msgspec.Struct, frozen=True):
    """When the watch first saw it; ``before`` is empty when nobody was seen leading in between."""

    at_s: float
    role: str
    before: str
    after: str


class Figures(msgspec.Struct, frozen=True):
    """Gaps are the longest ones. ``..._steady_...``: the same before the first fault, to compare with."""

    buyers: int
    ops: int
    holds: int  # acknowledged
    sold: int  # orders confirmed at the end
    refused: dict[str, int]  # holds that were refused, by code: the shop's everyday
    buyer_errors: int
    errors: dict[str, int]  # the same by what they were: "hold 503 store_unavailable"
    retried: int  # wishes that took more than one attempt
    gap_s: float
    gap_began_s: float
    gap_steady_s: float
    orders_gap_s: float
    orders_gap_steady_s: float
    tickets_gap_s: float
    tickets_gap_steady_s: float
    p50_ms: float | None  # of acknowledged holds, retries included
    p99_ms: float | None
    p50_steady_ms: float | None
    p99_steady_ms: float | None
    order_visible_p50_s: float | None  # from a hold's acknowledgement to its order
    order_visible_max_s: float | None
    recover_s: float | None  # from the last heal until every service was healthy; None: never
    drain_s: float | None  # from the end of load and faults until nothing was under way; None: never
    rewound: int  # events that were sent again because a receiver had lost them
    leader_changes: int


class Second(msgspec.Struct, frozen=True, array_like=True):
    """One second of the drill, by when ops ended."""

    at_s: int
    holds: int
    refused: int
    errors: int
    p50_ms: float | None
    p99_ms: float | None


def measure(history: History) -> Figures:
    faults_s, end_s = first_fault_s(history), history.load_ended_s
    holds = acknowledged(history)
    acked_s = sorted(op.ended_s for op in holds)
    orders_s = sorted(order.created_at_s - history.started_at_s for order in history.stores.orders)
    tickets_s = sorted(ticket.issued_at_s - history.started_at_s for ticket in history.stores.tickets)
    gap = longest_gap(acked_s, faults_s, end_s)
    errors = Counter(_named(op) for op in history.ops if is_error(op))
    before = [_latency_ms(op) for op in holds if op.ended_s < faults_s]
    during = [_latency_ms(op) for op in holds if op.ended_s >= faults_s]
    visible = _orders_visible_s(history, holds)
    return Figures(
        buyers=len({op.buyer for op in history.ops}),
        ops=len(history.ops),
        holds=len(holds),
        sold=sum(order.state == "CONFIRMED" for order in history.stores.orders),
        refused=dict(Counter(op.code or str(op.status) for op in history.ops if _refused(op)).most_common()),
        buyer_errors=errors.total(),
        errors=dict(errors.most_common()),
        retried=sum(op.attempts > 1 for op in history.ops),
        gap_s=gap.length_s,
        gap_began_s=gap.began_s,
        gap_steady_s=_steady_gap_s(acked_s, history),
        orders_gap_s=longest_gap(orders_s, faults_s, end_s).length_s,
        orders_gap_steady_s=_steady_gap_s(orders_s, history),
        tickets_gap_s=longest_gap(tickets_s, faults_s, end_s).length_s,
        tickets_gap_steady_s=_steady_gap_s(tickets_s, history),
        p50_ms=percentile(during, 50),
        p99_ms=percentile(during, 99),
        p50_steady_ms=percentile(before, 50),
        p99_steady_ms=percentile(before, 99),
        order_visible_p50_s=percentile(visible, 50),
        order_visible_max_s=max(visible, default=None),
        recover_s=None if history.recovered_s is None else max(0.0, history.recovered_s - last_heal_s(history)),
        drain_s=None if history.drained_s is None else max(0.0, history.drained_s - _quiet_s(history)),
        rewound=rewound(history),
        leader_changes=len(leader_changes(history)),
    )


# -- the window


def first_fault_s(history: History) -> float:
    """The end of the load when there was none: then all of it is steady."""
    return min((fault.began_s for fault in history.faults), default=history.load_ended_s)


def last_heal_s(history: History) -> float:
    return max((fault.healed_s for fault in history.faults), default=history.load_ended_s)


def _quiet_s(history: History) -> float:
    """Nobody arrives and nothing is broken any more: the drain begins."""
    return max(history.load_ended_s, last_heal_s(history))


# -- gaps


def longest_gap(points_s: Sequence[float], began_s: float, ended_s: float) -> Gap:
    """``points_s`` in order. The window's beginning counts as a point only where there is none before it."""
    if ended_s <= began_s:
        return Gap(0.0, began_s)
    first = max(0, bisect_right(points_s, began_s) - 1)
    inside = [*points_s[first : bisect_left(points_s, ended_s)], ended_s]
    if inside[0] > began_s:
        inside.insert(0, began_s)
    return max((Gap(after - before, before) for before, after in pairwise(inside)), key=lambda gap: gap.length_s)


def _steady_gap_s(points_s: Sequence[float], history: History) -> float:
    return longest_gap(points_s, history.load_began_s, first_fault_s(history)).length_s


# -- ops


def acknowledged(history: History) -> list[Op]:
    """Holds; of a key that was sent twice on purpose, the first answer."""
    first: dict[tuple[str, str], Op] = {}
    for op in history.ops:
        if op.action == "hold" and op.outcome == "ok":
            wish = (op.buyer, op.key)
            if wish not in first or op.ended_s < first[wish].ended_s:
                first[wish] = op
    return list(first.values())


def is_error(op: Op) -> bool:
    """What a buyer has to be sorry for, after all his retries. A refusal that he was owed is none."""
    if op.outcome == "indefinite" or op.status == 0 or op.status >= 500 or op.code in ERROR_CODES:
        return True
    return _without_end(op)


def _without_end(op: Op) -> bool:
    """He followed his sale until he gave up, and was never shown what became of it."""
    return op.action in ("order", "sale") and op.outcome == "ok" and op.state not in ENDS


def _refused(op: Op) -> bool:
    return op.action == "hold" and op.outcome == "refused" and not is_error(op)


def _named(op: Op) -> str:
    what = f"still {op.state}" if _without_end(op) else op.code
    return f"{op.action} {op.status or 'no answer'} {what}".strip()


def _latency_ms(op: Op) -> float:
    return (op.ended_s - op.began_s) * 1000


def _orders_visible_s(history: History, holds: Iterable[Op]) -> list[float]:
    """An order may be there before the buyer has read his answer: 0."""
    created = {order.order_id: order.created_at_s - history.started_at_s for order in history.stores.orders}
    return [max(0.0, created[op.order_id] - op.ended_s) for op in holds if op.order_id in created]


def seconds(history: History) -> tuple[Second, ...]:
    """Every second from 0 to the end of the last op, the empty ones too."""
    holds: dict[int, list[float]] = defaultdict(list)
    for op in acknowledged(history):
        holds[int(op.ended_s)].append(_latency_ms(op))
    refused = Counter(int(op.ended_s) for op in history.ops if _refused(op))
    errors = Counter(int(op.ended_s) for op in history.ops if is_error(op))
    last = max((int(op.ended_s) for op in history.ops), default=-1)
    return tuple(
        Second(at, len(holds[at]), refused[at], errors[at], percentile(holds[at], 50), percentile(holds[at], 99))
        for at in range(last + 1)
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """By nearest rank: a value that did occur. None of nothing."""
    if not values:
        return None
    rank = -(-len(values) * percent // 100)  # rounded up
    return sorted(values)[max(0, int(rank) - 1)]


# -- the cluster


def leader_changes(history: History) -> tuple[LeaderChange, ...]:
    """Every leader's role that moved to somebody else. A moment in which a role could not be read is no change."""
    known: dict[str, str] = {}
    vacant: set[str] = set()
    changes = []
    for sample in history.samples:
        for role, holder in sample.roles.items():
            if not is_led(role):
                continue
            before = known.get(role)
            if before is not None and holder and holder != before:
                changes.append(LeaderChange(sample.at_s, role, "" if role in vacant else before, holder))
            if holder:
                known[role] = holder
                vacant.discard(role)
            else:
                vacant.add(role)
    return tuple(changes)


def is_led(role: str) -> bool:
    """Whether one has to have it, so that it is news when another one does."""
    return role.endswith(LEADERS) or role.startswith(RELAYS)


def rewound(history: History) -> int:
    """What the samples show, by acks or by watermarks; a rewind that they missed but a sender counted is at least 1."""
    total = 0
    for stream in history.stores.streams:
        seen = [(s.at_s, s.streams[stream.name]) for s in history.samples if stream.name in s.streams]
        acks = sum(max(0, before.acked_seq - after.acked_seq) for (_, before), (_, after) in pairwise(seen))
        watermarks = sum(lost.from_seq - lost.to_seq for lost in regressions_of(seen))
        total += max(acks, watermarks, stream.rewinds)
    return total
