"""Digits of currencies, and amounts that survive being written with them."""

from decimal import Decimal

import pytest

from ticketflow.currencies import CurrencyUnknown, NotWhole, exponent, to_decimal, to_minor


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("EUR", 2), ("BRL", 2), ("ARS", 2), ("CLP", 0), ("JPY", 0), ("ISK", 0), ("KWD", 3), ("CLF", 4), ("UYW", 4)],
)
def test_digits_are_those_of_iso_4217(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize("code", ["", "eur", "XXX", "XAU", "EURO"])
def test_what_is_no_currency_with_a_minor_unit_is_unknown(code: str) -> None:
    with pytest.raises(CurrencyUnknown):
        exponent(code)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (5000, "EUR", "50.00"),
        (1, "EUR", "0.01"),
        (0, "EUR", "0.00"),
        (-5, "EUR", "-0.05"),
        (29, "BRL", "0.29"),
        (500, "CLP", "500"),
        (5120, "KWD", "5.120"),
        (10**15 + 1, "EUR", "10000000000000.01"),
    ],
)
def test_there_and_back(minor: int, currency: str, text: str) -> None:
    assert str(to_decimal(minor, currency)) == text
    assert to_minor(Decimal(text), currency) == minor


@pytest.mark.parametrize("text", ["50", "50.0", "50.00", "5E+1", "50.000000"])
def test_however_it_is_written_it_is_the_same_amount(text: str) -> None:
    assert to_minor(Decimal(text), "EUR") == 5000


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("0.001", "EUR"),
        ("0.5", "CLP"),
        ("NaN", "EUR"),
        ("Infinity", "EUR"),
        ("1E+999999999", "EUR"),
        ("1E-999999999", "EUR"),
    ],
)
def test_half_a_minor_unit_is_refused(text: str, currency: str) -> None:
    with pytest.raises(NotWhole):
        to_minor(Decimal(text), currency)


def test_more_digits_than_the_decimal_context_has_are_exact() -> None:
    huge = 10**40 + 7
    assert to_minor(to_decimal(huge, "EUR"), "EUR") == huge
