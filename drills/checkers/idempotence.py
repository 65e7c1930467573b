"""idempotence: all requests of one key have one effect and one answer.

- The answers of one key that decide are equal: the same status and code; of a success the same body too (problems
  carry the id of their request). What passes by itself, such as order_not_yet, decides nothing.
- Two keys never share an effect, and a buyer never has more holds, or an order more payments, than keys were sent. A
  key whose wish ended indefinite may have had its one effect too.
"""

from collections import defaultdict
from collections.abc import Iterator

from drills.checkers.finding import Finding, finding
from drills.history import Action, History, Op

NAME = "idempotence"

# Refusals that pass by themselves, and the one that says that the key was used for something else.
UNDECIDED = frozenset({"order_not_yet", "payment_in_progress", "idempotency_mismatch"})


def check(history: History) -> Finding:
    by_key: dict[tuple[str, Action, str], list[Op]] = defaultdict(list)
    for op in history.ops:
        if op.key:
            by_key[op.buyer, op.action, op.key].append(op)
    problems = [
        *(text for ops in by_key.values() for text in _unequal(ops)),
        *_shared(history),
        *_more_than_wished(history),
    ]
    repeated = sum(op.attempts - 1 for op in history.ops if op.key) + sum(len(ops) - 1 for ops in by_key.values())
    return finding(NAME, problems, f"{len(by_key)} keys, sent {repeated} times more than once, with one effect each")


def _unequal(ops: list[Op]) -> Iterator[str]:
    decided = [op for op in ops if _decides(op)]
    for op in decided[1:]:
        first = decided[0]
        named = f"{op.action} of {op.buyer}, key {op.key}"
        if (first.status, first.code) != (op.status, op.code):
            yield f"{named}: answered {_said(first)} at {first.ended_s:.3f} s, {_said(op)} at {op.ended_s:.3f} s"
        elif (first.order_id, first.payment_id) != (op.order_id, op.payment_id):
            yield (
                f"{named}: two effects: {first.payment_id or first.order_id} at {first.ended_s:.3f} s,"
                f" {op.payment_id or op.order_id} at {op.ended_s:.3f} s"
            )
        elif op.outcome == "ok" and first.body_digest and op.body_digest and first.body_digest != op.body_digest:
            yield f"{named}: two bodies for {op.order_id}, at {first.ended_s:.3f} s and at {op.ended_s:.3f} s"


def _decides(op: Op) -> bool:
    if op.outcome == "ok":
        return op.status != 202
    return op.outcome == "refused" and 400 <= op.status < 500 and op.status != 429 and op.code not in UNDECIDED


def _shared(history: History) -> Iterator[str]:
    keys: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for op in history.ops:
        effect = {"hold": op.order_id, "pay": op.payment_id}.get(op.action)
        if effect and op.key and op.outcome == "ok":
            keys[op.action, effect].add((op.buyer, op.key))
    for (action, effect), owners in keys.items():
        if len(owners) > 1:
            yield f"{action} {effect} answers {len(owners)} keys: {', '.join(key for _, key in sorted(owners))}"


def _more_than_wished(history: History) -> Iterator[str]:
    hold_keys: dict[str, set[str]] = defaultdict(set)
    pay_keys: dict[str, set[str]] = defaultdict(set)
    for op in history.ops:
        if op.action == "hold":
            hold_keys[op.buyer].add(op.key)
        elif op.action == "pay":
            pay_keys[op.order_id].add(op.key)
    holds: dict[str, list[str]] = defaultdict(list)
    for hold in history.stores.holds:
        holds[hold.buyer].append(hold.hold_id)
    for buyer, ids in holds.items():
        if len(ids) > len(hold_keys[buyer]):
            yield f"{buyer} sent {len(hold_keys[buyer])} keys and has {len(ids)} holds: {', '.join(ids)}"
    payments: dict[str, list[str]] = defaultdict(list)
    for payment in history.stores.payments:
        payments[payment.order_id].append(payment.payment_id)
    for order_id, ids in payments.items():
        if len(ids) > len(pay_keys[order_id]):
            yield f"{len(pay_keys[order_id])} keys to pay order {order_id} made {len(ids)} payments: {', '.join(ids)}"


def _said(op: Op) -> str:
    return f"{op.status} {op.code}".strip()
