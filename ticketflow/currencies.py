"""Currencies of ISO 4217: how many decimal digits the minor unit has, and amounts written with them.

Money here is a whole number of minor units. A decimal number appears only where somebody else's interface, or a
reader, wants one; it is a ``Decimal`` then, never a binary fraction.
"""

from decimal import Decimal

_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU
CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

DIGITS_MAX = 60  # 1e999999999 is a decimal number, too

EXPONENTS = {
    code: digits for digits, codes in ((2, _TWO), (0, _NONE), (3, _THREE), (4, _FOUR)) for code in codes.split()
}


class CurrencyUnknown(ValueError):
    """ISO 4217 has no such code, or no minor unit for it."""


class NotWhole(ValueError):
    """The amount is not a whole number of minor units."""


def exponent(currency: str) -> int:
    """Decimal digits of the minor unit: 2 for EUR, 0 for CLP. Raises CurrencyUnknown."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise CurrencyUnknown(f"{currency!r} is no currency of ISO 4217") from None


def to_decimal(amount_minor: int, currency: str) -> Decimal:
    """5000 minor units of EUR are 50.00, exactly, with the currency's digits. Raises CurrencyUnknown."""
    return Decimal(f"{amount_minor}E-{exponent(currency)}")


def to_minor(amount: Decimal, currency: str) -> int:
    """The other way; 50, 50.0 and 50.00 are the same. Raises CurrencyUnknown, NotWhole."""
    digits = exponent(currency)
    if not amount.is_finite() or not -DIGITS_MAX <= amount.adjusted() <= DIGITS_MAX:
        raise NotWhole(f"{amount} {currency} is no amount")
    numerator, denominator = amount.as_integer_ratio()
    minor, rest = divmod(numerator * int(10**digits), denominator)
    if rest:
        raise NotWhole(f"{amount} {currency} has more than {digits} decimal digits")
    return minor


def text_of(amount_minor: int, currency: str) -> str:
    """For people: ``-12.50 EUR``, ``900 JPY``. Raises CurrencyUnknown."""
    return f"{to_decimal(amount_minor, currency):f} {currency}"
