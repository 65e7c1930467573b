"""Billing's ledger against the payments and refunds it tells of. Pure.

``due_of`` says what has to be written for an order; what may be written already, while its refund is under way, is in
``may_be_of``.
"""

from collections.abc import Iterator, Mapping

from audit.money.judging import difference
from audit.money.sides import OVER, Cause, Deal, Difference, Order, Postings, Refund

CORRECTION = "correction"
MISSING = {
    "capture": "ledger_capture_missing",
    "refund": "ledger_refund_missing",
    "refund_credits": "ledger_refund_missing",
    "unfreeze": "credits_frozen_for_nothing",
    "freeze": "ledger_differs",
}


def correction_id(cause: Cause) -> str:
    """Of the correction that makes an entry what it ought to be: it can be written once."""
    return f"{cause[0]}:{cause[1]}"


def due_of(order: Order) -> dict[Cause, Postings]:
    due: dict[Cause, Postings] = {}
    wallet, frozen = f"wallet:{order.buyer_id}", f"frozen:{order.buyer_id}"
    for payment in order.payments:
        credits_minor, id_ = payment.credits_minor, payment.payment_id
        if credits_minor:
            due["freeze", id_] = {wallet: credits_minor, frozen: -credits_minor}
        if credits_minor and payment.state in OVER:
            due["unfreeze", id_] = {frozen: credits_minor, wallet: -credits_minor}
        if payment.state == "CAPTURED" and payment.amount_minor:
            due["capture", id_] = _plain(
                {
                    f"clearing:{payment.provider}": payment.card_minor,
                    frozen: credits_minor,
                    f"sales:{order.event_id}": -payment.amount_minor,
                }
            )
    for refund in order.refunds:
        if refund.state == "REFUNDED":
            due |= _refunded(order, refund)
    return due


def may_be_of(order: Order) -> dict[Cause, Postings]:
    """Credits may be back before the card's part is; what the provider refused may have gone as credits."""
    may: dict[Cause, Postings] = {}
    for refund in order.refunds:
        if refund.state != "REFUNDED":
            may |= {cause: lines for cause, lines in _refunded(order, refund).items() if cause[0] == "refund_credits"}
    return may


def judge_ledger(deal: Deal) -> Iterator[Difference]:
    order = deal.order
    if order is None:
        return
    written = {cause: lines for cause, lines in order.entries.items() if cause[0] != CORRECTION}
    wanted_of = _wanted(order)
    for cause in sorted(wanted_of.keys() | written.keys()):
        wanted = wanted_of.get(cause, {})
        corrected = order.entries.get((CORRECTION, correction_id(cause)), {})
        found = _sum(written.get(cause, {}), corrected)
        if found == _plain(wanted):
            continue
        if cause not in written and not corrected:
            if cause[0] == "unfreeze" and ("freeze", cause[1]) not in written:
                continue  # nothing is frozen: that the freeze is missing is told
            yield difference(MISSING[cause[0]], deal, _ids(cause), f"{cause[0]} {_told(wanted)}", _moved(wanted))
        else:
            detail = f"{cause[0]}: written {_told(found)}, due {_told(wanted)}"
            yield difference("ledger_differs", deal, _ids(cause), detail, _moved(_sum(found, wanted, -1)))


def delta_of(order: Order, cause: Cause) -> Postings:
    """What a correction has to add."""
    return _sum(_wanted(order).get(cause, {}), order.entries.get(cause, {}), -1)


def _wanted(order: Order) -> dict[Cause, Postings]:
    """What is due, and of what may be there already that which is."""
    return {cause: lines for cause, lines in may_be_of(order).items() if cause in order.entries} | due_of(order)


def _refunded(order: Order, refund: Refund) -> dict[Cause, Postings]:
    account = f"refunds:{order.event_id}"
    provider = next((p.provider for p in order.payments if p.payment_id == refund.payment_id), "")
    due: dict[Cause, Postings] = {}
    if refund.card_minor:
        due["refund", refund.refund_id] = {account: refund.card_minor, f"clearing:{provider}": -refund.card_minor}
    if refund.credits_minor:
        wallet = f"wallet:{order.buyer_id}"
        due["refund_credits", refund.refund_id] = {account: refund.credits_minor, wallet: -refund.credits_minor}
    return due


def _ids(cause: Cause) -> list[tuple[str, str]]:
    return [("cause", cause[0]), ("refund" if cause[0].startswith("refund") else "payment", cause[1])]


def _plain(lines: Mapping[str, int]) -> dict[str, int]:
    return {account: minor for account, minor in lines.items() if minor != 0}


def _sum(one: Postings, other: Postings, sign: int = 1) -> dict[str, int]:
    return _plain({a: one.get(a, 0) + sign * other.get(a, 0) for a in one.keys() | other.keys()})


def _moved(lines: Postings) -> int:
    return sum(minor for minor in lines.values() if minor > 0)


def _told(lines: Postings) -> str:
    return ", ".join(f"{account} {minor:+}" for account, minor in sorted(lines.items())) or "nothing"
