"""Every fact can be said to a buyer; the facts that concern other services become events, in their order."""

from typing import get_args

import pytest

from billing.orders.announce import Sale, payloads_of
from billing.orders.rules import Code, Fact
from billing.orders.words import REASONS, TEXTS, text_of
from ticketflow.events import EndReason, OrderFailed, PaymentVoided, Ticket

SALE = Sale(
    order_id="o",
    buyer_id="b",
    currency="EUR",
    total_minor=500,
    captured_minor=500,
    closing="taken",
    started_at_us={"p": 7},
    tickets=[Ticket(ticket_id="t", unit_id="u", tier="stalls", label="A-1")],
)


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_sentence(code: Code) -> None:
    assert TEXTS[code].endswith(".")


@pytest.mark.parametrize("reason", get_args(EndReason))
def test_every_reason_has_words(reason: str) -> None:
    assert reason in REASONS


def test_a_reason_is_told_and_an_unknown_code_is_shown_as_it_is() -> None:
    assert text_of("hold_ended", "expired") == "The hold on your seats ended. (its time was over)"
    assert text_of("something_new", None) == "something_new"


def test_facts_become_events_in_their_order() -> None:
    facts = [
        Fact(Code.PAYMENT_CAPTURED, "p"),
        Fact(Code.TICKETS_ISSUED, "p"),
        Fact(Code.ORDER_CONFIRMED, "p"),
    ]
    assert [payload.kind for payload in payloads_of(facts, SALE)] == ["ticket.issued", "order.confirmed"]


def test_what_was_undone_says_why() -> None:
    voided, failed = payloads_of([Fact(Code.PAYMENT_VOIDED, "p", "taken"), Fact(Code.ORDER_FAILED)], SALE)
    assert voided == PaymentVoided(order_id="o", payment_id="p", reason="taken")
    assert failed == OrderFailed(order_id="o", reason="taken")
