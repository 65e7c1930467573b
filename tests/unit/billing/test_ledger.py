"""The ledger's law and what each cause writes, one sentence at a time."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from billing.ledger.accounts import Account, Kind, clearing, fees, frozen, refunds, sales, wallet
from billing.ledger.causes import (
    Purchase,
    VerifiedWebhook,
    capture,
    correction,
    fee,
    freeze,
    freeze_part,
    refund,
    refund_credits,
    topup,
    unfreeze,
    unfreeze_part,
)
from billing.ledger.entries import MINOR_MAX, BadEntry, Cause, Entry, Line, entry
from billing.store.ledger import PARTS, part_of
from ticketflow.currencies import EXPONENTS, CurrencyUnknown, exponent, text_of

ORDER = "01890a5d-ac96-774b-bcce-b302099a8057"
EVENT = "01890a5d-ac96-774b-bcce-b302099a8058"
ANNA = Purchase(ORDER, EVENT, "anna", "EUR")
WEBHOOK = VerifiedWebhook("w-1", "stripe")


def lines(of: Entry) -> dict[str, int]:
    return {str(line.account): line.amount_minor for line in of.lines}


def test_a_topup_is_held_by_the_provider_and_owed_to_the_buyer() -> None:
    bought = topup("t-1", "anna", 5000, "EUR", WEBHOOK)
    assert lines(bought) == {"wallet:anna": -5000, "clearing:stripe": 5000}
    assert (bought.key, bought.evidence, bought.event_id) == ((Cause.TOPUP, "t-1"), "w-1", None)


def test_freezing_moves_credits_inside_of_what_the_buyer_has() -> None:
    assert lines(freeze(ANNA, "p-1", 1200)) == {"wallet:anna": 1200, "frozen:anna": -1200}
    assert lines(unfreeze(ANNA, "p-1", 1200)) == {"wallet:anna": -1200, "frozen:anna": 1200}


@pytest.mark.parametrize(
    ("card_minor", "credits_minor", "expected"),
    [
        (3000, 0, {"clearing:stripe": 3000, f"sales:{EVENT}": -3000}),
        (0, 3000, {"frozen:anna": 3000, f"sales:{EVENT}": -3000}),
        (1800, 1200, {"frozen:anna": 1200, "clearing:stripe": 1800, f"sales:{EVENT}": -3000}),
    ],
    ids=["card", "credits", "mixed"],
)
def test_a_capture_is_the_events_sale(card_minor: int, credits_minor: int, expected: dict[str, int]) -> None:
    paid = capture(ANNA, "p-1", "stripe", card_minor=card_minor, credits_minor=credits_minor)
    assert lines(paid) == expected
    assert (paid.order_id, paid.event_id) == (ORDER, EVENT)


def test_what_goes_back_goes_to_the_card_and_to_the_wallet_in_an_entry_each() -> None:
    assert lines(refund(ANNA, "r-1", "stripe", 1800)) == {"clearing:stripe": -1800, f"refunds:{EVENT}": 1800}
    assert lines(refund_credits(ANNA, "r-1", 700)) == {"wallet:anna": -700, f"refunds:{EVENT}": 700}


def test_a_part_of_a_wallet_is_frozen_for_a_dispute_without_any_order() -> None:
    kept = freeze_part("dp_1", "anna", 700, "EUR", "chargeback")
    assert lines(kept) == {"wallet:anna": 700, "frozen:anna": -700}
    assert (kept.key, kept.order_id, kept.event_id, kept.note) == ((Cause.FREEZE, "dp_1"), None, None, "chargeback")
    assert lines(unfreeze_part("dp_1", "anna", 700, "EUR")) == {"wallet:anna": -700, "frozen:anna": 700}


def test_a_fee_stays_with_the_provider() -> None:
    assert lines(fee("stripe", "txn_1", 87, "EUR")) == {"clearing:stripe": -87, "fees:stripe": 87}


def test_a_correction_moves_anything_that_balances_and_says_why() -> None:
    written = correction("c-1", "EUR", [(wallet("anna"), -500), (refunds(EVENT), 500)], "ticket was double")
    assert lines(written) == {"wallet:anna": -500, f"refunds:{EVENT}": 500}
    with pytest.raises(BadEntry, match="says why"):
        correction("c-1", "EUR", [(wallet("anna"), -500), (refunds(EVENT), 500)], "")


@pytest.mark.parametrize("amount", [0, -1, True, 1.0, Decimal(1), "1", None], ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda amount: topup("t-1", "anna", amount, "EUR", WEBHOOK),
        lambda amount: freeze(ANNA, "p-1", amount),
        lambda amount: unfreeze(ANNA, "p-1", amount),
        lambda amount: freeze_part("dp_1", "anna", amount, "EUR", "why"),
        lambda amount: unfreeze_part("dp_1", "anna", amount, "EUR"),
        lambda amount: capture(ANNA, "p-1", "stripe", card_minor=amount, credits_minor=0),
        lambda amount: capture(ANNA, "p-1", "stripe", card_minor=0, credits_minor=amount),
        lambda amount: refund(ANNA, "r-1", "stripe", amount),
        lambda amount: refund_credits(ANNA, "r-1", amount),
        lambda amount: fee("stripe", "f-1", amount, "EUR"),
    ],
    ids=[
        "topup",
        "freeze",
        "unfreeze",
        "freeze part",
        "unfreeze part",
        "capture card",
        "capture credits",
        "refund",
        "refund_credits",
        "fee",
    ],
)
def test_an_amount_is_an_integer_above_zero(make: Callable[[Any], Entry], amount: Any) -> None:
    with pytest.raises(BadEntry):
        make(amount)


def test_a_part_of_a_capture_may_not_be_below_zero() -> None:
    with pytest.raises(BadEntry):
        capture(ANNA, "p-1", "stripe", card_minor=500, credits_minor=-100)


@pytest.mark.parametrize(
    "amounts",
    [
        [],
        [(wallet("anna"), 5)],
        [(wallet("anna"), 5), (frozen("anna"), -4)],
        [(wallet("anna"), 5), (wallet("anna"), -5)],
        [(wallet("anna"), 5.0), (frozen("anna"), -5.0)],
        [(wallet("anna"), MINOR_MAX + 1), (frozen("anna"), -MINOR_MAX - 1)],
    ],
    ids=["nothing", "one line", "does not balance", "one account twice", "floats", "too much"],
)
def test_an_entry_that_is_none_cannot_be_made(amounts: list[tuple[Account, Any]]) -> None:
    with pytest.raises(BadEntry):
        entry(Cause.FREEZE, "p-1", "EUR", amounts)


def test_not_even_by_hand() -> None:
    with pytest.raises(BadEntry):
        Entry(Cause.FREEZE, "p-1", "EUR", (Line(wallet("anna"), 5), Line(frozen("anna"), -4)))


@pytest.mark.parametrize("cause_id", ["", "x" * 65])
def test_a_cause_has_an_id(cause_id: str) -> None:
    with pytest.raises(BadEntry):
        freeze(ANNA, cause_id, 5)


def test_only_a_topup_rests_on_a_webhook() -> None:
    amounts = [(wallet("anna"), -5), (clearing("stripe"), 5)]
    with pytest.raises(BadEntry, match="webhook"):
        entry(Cause.TOPUP, "t-1", "EUR", amounts)
    with pytest.raises(BadEntry, match="webhook"):
        entry(Cause.CORRECTION, "t-1", "EUR", amounts, evidence="w-1", note="why")


def test_a_currency_is_one_of_iso_4217() -> None:
    with pytest.raises(CurrencyUnknown):
        topup("t-1", "anna", 5000, "EUX", WEBHOOK)
    assert [exponent(currency) for currency in ("JPY", "EUR", "KWD")] == [0, 2, 3]
    assert all(len(currency) == 3 and currency.isupper() for currency in EXPONENTS)
    assert len(EXPONENTS) > 150


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (0, "EUR", "0.00 EUR"),
        (7, "EUR", "0.07 EUR"),
        (-1250, "EUR", "-12.50 EUR"),
        (900, "JPY", "900 JPY"),
        (-1001, "KWD", "-1.001 KWD"),
        (10**15 + 1, "USD", "10000000000000.01 USD"),
    ],
)
def test_an_amount_is_shown_with_the_digits_of_its_currency(amount_minor: int, currency: str, text: str) -> None:
    assert text_of(amount_minor, currency) == text


@pytest.mark.parametrize(
    "account",
    [wallet("anna:b.c-d_e"), frozen("anna"), clearing("mercadopago"), sales(EVENT), refunds(EVENT), fees("stripe")],
    ids=str,
)
def test_an_account_is_read_from_its_name(account: Account) -> None:
    assert Account.parse(str(account)) == account


@pytest.mark.parametrize(
    "name",
    ["wallet:", "wallet:a b", "wallet:" + "x" * 65, "purse:anna", "sales:evening", "clearing:Stripe", "wallet", ""],
)
def test_what_is_no_accounts_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no account is named|is not a valid Kind"):
        Account.parse(name)


def test_a_buyers_own_accounts_come_first_in_the_order_of_locking() -> None:
    mixed = [sales(EVENT), clearing("stripe"), frozen("anna"), wallet("ben"), wallet("anna")]
    assert [str(account) for account in sorted(mixed, key=lambda account: account.order)] == [
        "wallet:anna",
        "wallet:ben",
        "frozen:anna",
        "clearing:stripe",
        f"sales:{EVENT}",
    ]
    assert {kind for kind in Kind if Account(kind, EVENT if kind in ("sales", "refunds") else "anna").held} == {
        Kind.WALLET,
        Kind.FROZEN,
    }


def test_what_all_buyers_share_is_spread_over_its_rows_and_a_buyers_own_is_not() -> None:
    ids = [f"payment-{number}" for number in range(300)]
    assert {part_of(sales(EVENT), cause_id) for cause_id in ids} == set(range(PARTS))
    assert {part_of(account, cause_id) for account in (wallet("anna"), frozen("anna")) for cause_id in ids} == {0}
