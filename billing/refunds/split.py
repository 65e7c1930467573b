"""Which part of a refund goes back to the card, and which to the wallet. Pure.

The rule: **the card first**. A buyer who paid partly with money and partly with credits gets the money back before the
credits: nobody is left with credits, which only buy tickets here, for what a card has paid. However it is divided into
refunds, all of them together give each part back exactly once.
"""

from dataclasses import dataclass


class RefundTooLarge(ValueError):
    """More than is left of what was paid."""


@dataclass(frozen=True)
class Parts:
    """What card and credits have brought to a payment, or have got back of it. Minor units."""

    card_minor: int
    credits_minor: int

    @property
    def total_minor(self) -> int:
        return self.card_minor + self.credits_minor

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(self.card_minor + other.card_minor, self.credits_minor + other.credits_minor)


NOTHING = Parts(0, 0)


def split(amount_minor: int, paid: Parts, refunded: Parts = NOTHING) -> Parts:
    """``refunded``: what earlier refunds, also those still under way, have given back. Raises RefundTooLarge, and
    ValueError for an amount that is not above zero."""
    if amount_minor <= 0:
        raise ValueError(f"a refund of {amount_minor}")
    if amount_minor > paid.total_minor - refunded.total_minor:
        left_minor = paid.total_minor - refunded.total_minor
        raise RefundTooLarge(f"{amount_minor} of {left_minor} that are left of {paid.total_minor}")
    card_minor = min(amount_minor, max(0, paid.card_minor - refunded.card_minor))
    return Parts(card_minor, amount_minor - card_minor)
