"""Amounts, moments and names as buyers read them: one line each, of bounded length, whatever somebody wrote."""

from portal.times import time_of
from ticketflow.currencies import EXPONENTS, text_of

TEXT_CHARS_MAX = 200  # of a name or reason that somebody else wrote


def money(amount_minor: int, currency: str | None) -> str:
    """``25.00 EUR``; of a currency that nobody knows, what is stored."""
    if currency in EXPONENTS:
        return text_of(amount_minor, currency)
    return f"{amount_minor} minor units of {short(currency) or 'an unknown currency'}"


def moment(us: int) -> str:
    """``21 Nov 2026, 18:05 UTC``: buyers are anywhere."""
    at = time_of(us)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def place_name(label: str, tier: str) -> str:
    return short(label) if label == tier else f"{short(label)} ({short(tier)})"


def short(text: str | None) -> str:
    """One line of bounded length, whatever somebody wrote."""
    line = " ".join("".join(c if c.isprintable() else " " for c in (text or "")[: 2 * TEXT_CHARS_MAX]).split())
    return line if len(line) <= TEXT_CHARS_MAX else line[: TEXT_CHARS_MAX - 1] + "…"
