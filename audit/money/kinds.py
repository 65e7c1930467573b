"""Every kind of difference: what it means, and what mends it. Pure: docs and tests read this table.

``by`` says who: ``program`` (``--repair KIND --yes``), or ``person``, whose instruction is ``repair``. A repair by
program that cannot be sure (RepairRefused) does nothing and says what a person has to look at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

By = Literal["program", "person"]


@dataclass(frozen=True)
class Kind:
    meaning: str
    repair: str
    by: By = "program"


def _person(meaning: str, repair: str) -> Kind:
    return Kind(meaning, repair, "person")


SEATS: Mapping[str, Kind] = {
    "seat_sold_order_failed": Kind(
        "places are sold to a hold whose order has FAILED",
        "`sale.return` is staged at the portal for all its places",
    ),
    "seat_sold_without_order": Kind(
        "places are sold to a hold that billing does not know",
        "when the provider keeps nothing for its payment, it is told to billing as a hold that was released"
        " (`hold.placed`, `hold.released` at reservation), and `sale.return` is staged at the portal",
    ),
    "seat_sold_not_paid": Kind(
        "places are sold to a hold whose order is PENDING, and no payment of it is under way",
        "when the provider keeps nothing for the hold's payment, billing is told that the hold was released"
        " (`hold.released` at reservation), and `sale.return` is staged at the portal",
    ),
    "order_confirmed_seat_not_sold": Kind(
        "a good ticket is for a place that is not sold to its order's hold",
        "`sale.settle` is staged again at the portal while all its places can still be had; else a person gives other"
        " places, or refunds the ticket",
    ),
    "seats_not_returned": Kind(
        "a refund gave places back, and they are still sold to the order's hold",
        "`sale.return` is staged again at the portal, under the refund's id",
    ),
    "hold_without_order": Kind(
        "reservation has a hold of which billing has no order",
        "`hold.placed` is staged again at reservation, and how the hold ended",
    ),
    "order_without_hold": _person(
        "billing has an order that has not failed, and reservation knows no such hold",
        "reservation was restored to an earlier state: hold its places by hand, or refund the order"
        " (docs/operations.md, History that was lost)",
    ),
    "order_open_hold_ended": Kind(
        "the hold is over, nobody is paying, and the order is PENDING all the same",
        "`hold.released` or `hold.expired` is staged again at reservation",
    ),
    "lines_differ": _person(
        "order and hold are not of the same places, prices, event or buyer",
        "compare order_lines with hold_units; who has good tickets keeps his places, what he paid too much goes back",
    ),
}
ORDERS: Mapping[str, Kind] = {
    "tickets_missing": Kind(
        "a paid order has places without a ticket",
        "the tickets are issued at billing and told, when the places are sold to the order's hold",
    ),
    "tickets_extra": Kind(
        "an order that is not paid has good tickets",
        "they are made void at billing, which is told",
    ),
    "ticket_good_after_refund": Kind(
        "a ticket is good although a refund was for it",
        "it is made void at billing, which is told",
    ),
    "captured_not_total": _person(
        "an order is paid with other money captured than its total, or not paid with money captured",
        "compare payments and order_lines with the provider; refund what is too much, or fail the order by hand",
    ),
    "order_state_differs": Kind(
        "an order's state is not what its refunds and tickets make of it",
        "the state is set to that, and billing stages the order's facts again",
    ),
    "refunds_sum_differs": Kind(
        "orders.refunds_minor is not the sum of its refunds",
        "it is set to their sum, while that is within the order's total and no refund was lost",
    ),
    "payment_stuck": Kind(
        "a payment is between two states for longer than STUCK_S",
        "its worker is made to look at it at once",
    ),
    "refund_stuck": Kind(
        "a refund is REQUESTED for longer than STUCK_S",
        "its worker is made to look at it at once",
    ),
    "refund_refused": Kind(
        "the provider refused a refund: the money is still owed",
        "it is asked for again, as `POST /api/v1/admin/refunds/{refund_id}/retry` does; what is refused again can"
        " be given as credits (`.../as-credits`)",
    ),
    "webhook_unmatched": Kind(
        "a signed webhook names nothing of ours, or was not applied, for longer than STUCK_S",
        "its worker is made to look at it at once; when it comes back, look for its reference at the provider",
    ),
    "topup_stuck": Kind(
        "a top-up's money is being returned, or its page is long over, for longer than STUCK_S",
        "its worker is made to look at it at once",
    ),
}
PROVIDER: Mapping[str, Kind] = {
    "money_kept_without_tickets": Kind(
        "the provider keeps money for a payment that is over or that nobody knows",
        "it is refunded",
    ),
    "authorization_left_open": Kind(
        "money is still set aside at the provider for a payment that is over or that nobody knows",
        "it is voided",
    ),
    "paid_twice": Kind(
        "a captured payment has a second authorisation with money in it",
        "the second one is voided or refunded",
    ),
    "provider_captured_less": _person(
        "the provider took less than we wrote down, or does not know of it",
        "read the payment at the provider. If it never came: refund the order as credits of nothing (void its tickets),"
        " and correct the ledger",
    ),
    "provider_captured_more": Kind(
        "the provider took more than the card's part",
        "what is too much is refunded there, once no refund of the payment is under way or refused",
    ),
    "provider_refunded_less": Kind(
        "a refund is REFUNDED here, and the provider has not given that much back",
        "the provider is asked to give back what is missing",
    ),
    "provider_refunded_more": Kind(
        "the provider gave back more than our refunds: by hand there, or a dispute",
        "when it is the price of all good tickets, they are made void by a refund whose money its worker then finds"
        " given back; else a person voids those it was for, and writes a correction into the ledger",
    ),
    "topup_paid_not_credited": Kind(
        "a top-up's money, or more of it than was credited, is at the provider and is not being returned",
        "it is RETURNING again: its worker gives it back; what is beyond a credited one a person refunds there",
    ),
    "topup_credited_not_paid": Kind(
        "a top-up was credited, and the provider keeps less than that for it, of which not all is frozen",
        "what is missing is frozen under the top-up's id, as far as its buyer still has it, while nothing else of the"
        " buyer's is in dispute; what becomes of it a person decides",
    ),
}
LEDGER: Mapping[str, Kind] = {
    "ledger_capture_missing": Kind(
        "a payment is CAPTURED and no entry says so",
        "the entry is written, with its real cause",
    ),
    "ledger_refund_missing": Kind(
        "a refund is REFUNDED and no entry says so",
        "the entry is written, with its real cause",
    ),
    "ledger_topup_missing": Kind(
        "a top-up is CREDITED and no entry says so",
        "the entry is written, with the webhook that was applied to it; without one it is for a person",
    ),
    "credits_frozen_for_nothing": Kind(
        "credits are frozen for a payment that is over",
        "they are unfrozen",
    ),
    "ledger_differs": Kind(
        "an entry says something else than the payment or refund it is for",
        "a correction of the difference is written",
    ),
    "ledger_entry_unexplained": _person(
        "an entry names a payment, refund or top-up that is not there",
        "it was deleted or lost in a restore: find it at the provider, then write a correction",
    ),
    "balance_differs": Kind(
        "a kept balance is not the sum of its postings",
        "the balance is rebuilt from the postings",
    ),
    "unbalanced_entry": _person(
        "an entry does not sum to nothing",
        "somebody wrote past billing: find the movement, and write a correction",
    ),
    "held_below_zero": _person(
        "a buyer has less than nothing, by the postings",
        "find the entry that took too much, and write a correction",
    ),
    "frozen_overdrawn": _person(
        "a payment took more out of a frozen account than it had put there",
        "find the payment whose credits these were, and write a correction",
    ),
    "wrong_event": Kind(
        "a sale or refund stands in the books of another event than its entry",
        "a correction moves it, when the order's event is the entry's",
    ),
}
PORTAL: Mapping[str, Kind] = {
    "portal_missing": Kind(
        "the portal shows no such sale",
        "billing stages the order's facts again",
    ),
    "portal_state_differs": Kind(
        "the portal shows another state, event, buyer or sum",
        "billing stages the order's facts again; a state at the portal only rises, so one that is too high is for a"
        " person",
    ),
    "portal_tickets_differ": Kind(
        "the portal shows other tickets, or void ones as good",
        "billing stages the order's facts again; tickets that only the portal knows are for a person",
    ),
    "portal_unknown_order": _person(
        "the portal shows a sale of which billing has no order",
        "billing was restored to an earlier state: see docs/operations.md, History that was lost",
    ),
}
KINDS: Mapping[str, Kind] = {**SEATS, **ORDERS, **PROVIDER, **LEDGER, **PORTAL}
