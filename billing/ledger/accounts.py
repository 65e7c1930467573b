"""The accounts of the ledger: what money can be in or come from. Pure.

A debit is above zero, a credit below. What we own or spend (clearing, fees, refunds) grows by debits; what we owe or
earn (wallet, frozen, sales) by credits. So a wallet of 500 is a sum of -500.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from ticketflow.events.ids import is_id


class Kind(StrEnum):
    """In the order in which accounts are locked: a buyer's own first, so that a buyer who has too little is refused
    before anything else is touched; those that all buyers share last, so that they are held for the shortest time."""

    WALLET = "wallet"  # of a buyer: credits that can be spent
    FROZEN = "frozen"  # of a buyer: credits set aside for a payment
    CLEARING = "clearing"  # of a provider: what it has taken for us and not paid out
    SALES = "sales"  # of an event: what its tickets have brought
    REFUNDS = "refunds"  # of an event: what was given back of that
    FEES = "fees"  # of a provider: what it keeps


HELD = frozenset({Kind.WALLET, Kind.FROZEN})  # the buyers' money: never less than nothing
_RANK = {kind: rank for rank, kind in enumerate(Kind)}

_BUYER = re.compile(r"[\x21-\x7e]{1,64}")
_PROVIDER = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True)
class Account:
    """``str()`` is its name in the store: ``wallet:buyer-1``. Raises ValueError for a name that cannot be."""

    kind: Kind
    of: str

    def __post_init__(self) -> None:
        if self.kind in HELD:
            known = _BUYER.fullmatch(self.of) is not None
        elif self.kind in (Kind.SALES, Kind.REFUNDS):
            known = is_id(self.of)
        else:
            known = _PROVIDER.fullmatch(self.of) is not None
        if not known:
            raise ValueError(f"no account is named {self.kind}:{self.of}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.of}"

    @classmethod
    def parse(cls, name: str) -> "Account":
        """Raises ValueError."""
        kind, _, of = name.partition(":")
        return cls(Kind(kind), of)

    @property
    def held(self) -> bool:
        """Whether it is a buyer's money, whose sum may not be above zero."""
        return self.kind in HELD

    @property
    def order(self) -> tuple[int, str]:
        """Sorts accounts as they are locked."""
        return _RANK[self.kind], self.of


def wallet(buyer_id: str) -> Account:
    return Account(Kind.WALLET, buyer_id)


def frozen(buyer_id: str) -> Account:
    return Account(Kind.FROZEN, buyer_id)


def clearing(provider: str) -> Account:
    return Account(Kind.CLEARING, provider)


def sales(event_id: str) -> Account:
    return Account(Kind.SALES, event_id)


def refunds(event_id: str) -> Account:
    return Account(Kind.REFUNDS, event_id)


def fees(provider: str) -> Account:
    return Account(Kind.FEES, provider)
