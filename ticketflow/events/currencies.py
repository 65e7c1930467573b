"""The currencies of ISO 4217 and how many digits their minor unit has. Pure; no float, no division.

Every amount is an integer of minor units beside its currency; the digits matter only where it is shown to a person.
Not here: units of account and metals (XAU, XDR, BOV, CHE, ...), in which nobody buys a ticket.
"""

# fmt: off
_EXPONENTS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
       "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR "
       "IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN "
       "NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP "
       "STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
# fmt: on
EXPONENTS = {currency: exponent for exponent, names in _EXPONENTS.items() for currency in names.split()}


class UnknownCurrency(ValueError):
    """Not a currency of ISO 4217: an amount of it means nothing."""


def exponent_of(currency: str) -> int:
    """Digits after the point. Raises UnknownCurrency."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is no currency of ISO 4217") from None


def text_of(amount_minor: int, currency: str) -> str:
    """For people: ``-12.50 EUR``, ``900 JPY``. Raises UnknownCurrency."""
    digits = exponent_of(currency)
    sign = "-" if amount_minor < 0 else ""
    if digits == 0:
        return f"{sign}{abs(amount_minor)} {currency}"
    whole, part = divmod(abs(amount_minor), 10**digits)
    return f"{sign}{whole}.{part:0{digits}d} {currency}"
