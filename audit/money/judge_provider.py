"""The payment provider against billing's payments and refunds. Pure.

Only payments that were asked about are judged, and none that is between two states: there both may be right.
"""

from collections.abc import Iterator, Sequence

from audit.money.judging import difference
from audit.money.sides import OVER, Deal, Difference, Order, Payment, Taken


def judge_provider(deal: Deal) -> Iterator[Difference]:
    known = {payment.payment_id: payment for payment in deal.order.payments} if deal.order is not None else {}
    for payment_id, found in deal.at_provider.items():
        payment = known.get(payment_id)
        if payment is None or (payment.state in OVER and not payment.watched):
            state = "unknown" if payment is None else payment.state
            for one in found:
                yield from _left(deal, payment_id, one, state)
        elif payment.state == "CAPTURED" and deal.order is not None:
            yield from _captured(deal, deal.order, payment, found)


def main_of(payment: Payment, found: Sequence[Taken]) -> Taken | None:
    """The authorisation that counts."""
    by_id = {one.authorization_id: one for one in found}
    return by_id.get(payment.authorization_id or "") or (
        found[0] if found and payment.authorization_id is None else None
    )


def refunds_of(order: Order, payment_id: str) -> tuple[int, int]:
    """What must have gone back by way of the provider, and what may have."""
    mine = [refund for refund in order.refunds if refund.payment_id == payment_id]
    least = sum(refund.card_minor for refund in mine if refund.state == "REFUNDED")
    return least, least + sum(refund.card_minor for refund in mine if refund.state == "REQUESTED")


def extra_of(payment: Payment, captured_minor: int) -> int:
    """What the provider took too much."""
    return max(0, captured_minor - payment.card_minor)


def _left(deal: Deal, payment_id: str, one: Taken, state: str) -> Iterator[Difference]:
    ids = [("payment", payment_id), ("authorization", one.authorization_id)]
    if one.open:
        yield difference("authorization_left_open", deal, ids, f"the payment is {state}")
    elif one.kept_minor > 0:
        yield difference("money_kept_without_tickets", deal, ids, f"the payment is {state}", one.kept_minor)


def _captured(deal: Deal, order: Order, payment: Payment, found: Sequence[Taken]) -> Iterator[Difference]:
    main = main_of(payment, found)
    for one in found:
        if one is not main and one.has_money:
            ids = [("payment", payment.payment_id), ("authorization", one.authorization_id)]
            yield difference("paid_twice", deal, ids, f"{one.state}, {one.kept_minor} kept", one.kept_minor)
    ids = [("payment", payment.payment_id), ("authorization", payment.authorization_id or "")]
    captured_minor = main.captured_minor if main is not None else 0
    if captured_minor < payment.card_minor:
        detail = f"{captured_minor} at the provider, {payment.card_minor} here"
        yield difference("provider_captured_less", deal, ids, detail, captured_minor - payment.card_minor)
    elif main is not None:
        yield from _returned(deal, order, payment, main, ids)


def _returned(
    deal: Deal, order: Order, payment: Payment, main: Taken, ids: Sequence[tuple[str, str]]
) -> Iterator[Difference]:
    """What was taken too much has to go back as well as the refunds."""
    least, most = refunds_of(order, payment.payment_id)
    extra_minor = extra_of(payment, main.captured_minor)
    missing_minor = least + extra_minor - main.refunded_minor
    if missing_minor > 0 and extra_minor:
        detail = (
            f"{main.captured_minor} at the provider, {payment.card_minor} here;"
            f" {main.refunded_minor} of {least + extra_minor} given back"
        )
        yield difference("provider_captured_more", deal, ids, detail, missing_minor)
    elif missing_minor > 0 or main.refunded_minor > most + extra_minor:
        kind = "provider_refunded_less" if missing_minor > 0 else "provider_refunded_more"
        detail = f"{main.refunded_minor} at the provider, {least + extra_minor} here"
        yield difference(kind, deal, ids, detail, -missing_minor)
