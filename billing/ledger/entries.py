"""The ledger's law: an entry that does not balance cannot be made.

Laws:
- Pure: no clock, no store. Amounts are integers of minor units of one currency; a debit is above zero.
- The lines of an entry sum to nothing, none of them is nothing, and no account stands in two of them.
- An entry has its cause: what happened, and the id of the thing it happened to. One cause makes one entry, for ever.
- Entries are never changed: a mistake is put right by another entry (``correction``).
Which lines a cause makes stands in ledger_causes.py; how entries are kept in store/ledger.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from billing.ledger.accounts import Account
from ticketflow.currencies import exponent

MINOR_MAX = 10**15  # of one line: far above any sale, and a thousand of the largest still fit a BIGINT


class Cause(StrEnum):
    """``cause_id`` is in brackets. The docs and the tests read this table."""

    TOPUP = "topup"  # credits were bought (the top-up)
    FREEZE = "freeze"  # credits were set aside (the payment, or the dispute)
    UNFREEZE = "unfreeze"  # and given back (the same)
    CAPTURE = "capture"  # an order was paid (the payment)
    REFUND = "refund"  # money went back to the card (the refund)
    REFUND_CREDITS = "refund_credits"  # credits went back to the wallet (the refund)
    FEE = "fee"  # the provider kept something (its own id of that)
    CORRECTION = "correction"  # a person put something right (the correction)


class LedgerError(Exception):
    """Whatever the ledger will not do."""


class BadEntry(LedgerError, ValueError):
    """Such an entry cannot be: a bug of whoever made it."""


class LedgerConflict(LedgerError):
    """It contradicts what is written: the same cause with other lines, or credits that this payment had not frozen."""


class InsufficientCredits(LedgerError):
    """The buyer has less than that. ``code`` is the API's."""

    code = "insufficient_credits"


@dataclass(frozen=True)
class Line:
    account: Account
    amount_minor: int


@dataclass(frozen=True)
class Entry:
    """``order_id`` and ``event_id``: what it was for, if for one. ``evidence``: the verified webhook a top-up rests
    on. ``note``: why, of a correction or of a dispute. Make it with ``entry``. Raises BadEntry, CurrencyUnknown."""

    cause: Cause
    cause_id: str
    currency: str
    lines: tuple[Line, ...]
    order_id: str | None = None
    event_id: str | None = None
    evidence: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        exponent(self.currency)
        if not 0 < len(self.cause_id) <= 64:
            raise BadEntry(f"{self.cause}: the cause's id has 1 to 64 characters")
        for line in self.lines:
            if type(line.amount_minor) is not int:  # bool and Decimal are no amounts either
                raise BadEntry(f"{self}: {line.amount_minor!r} is no integer")
            if not 0 < abs(line.amount_minor) <= MINOR_MAX:
                raise BadEntry(f"{self}: {line.amount_minor} on {line.account}")
        if len({line.account for line in self.lines}) != len(self.lines):
            raise BadEntry(f"{self}: an account stands in two lines")
        if sum(line.amount_minor for line in self.lines) != 0 or len(self.lines) < 2:
            raise BadEntry(f"{self}: does not balance")
        if (self.cause is Cause.TOPUP) != (self.evidence is not None):
            raise BadEntry(f"{self}: a top-up, and only that, rests on a webhook")
        if self.cause is Cause.CORRECTION and not self.note:
            raise BadEntry(f"{self}: a correction says why")

    def __str__(self) -> str:
        return f"{self.cause} {self.cause_id}"

    @property
    def key(self) -> tuple[Cause, str]:
        return self.cause, self.cause_id

    @property
    def meaning(self) -> object:
        """Equal for two entries that say the same. Evidence is no part of it: two webhooks may tell of one top-up."""
        return self.key, self.currency, self.lines, self.order_id, self.event_id

    def on(self, account: Account) -> int:
        """The debit (or credit) of an account, 0 when it is not concerned."""
        return next((line.amount_minor for line in self.lines if line.account == account), 0)


def entry(
    cause: Cause,
    cause_id: str,
    currency: str,
    amounts: Iterable[tuple[Account, int]],
    *,
    order_id: str | None = None,
    event_id: str | None = None,
    evidence: str | None = None,
    note: str | None = None,
) -> Entry:
    """An entry whose lines are in the ledger's order; lines of nothing are left out. Raises as Entry does."""
    lines = tuple(Line(account, minor) for account, minor in sorted(amounts, key=lambda of: of[0].order) if minor != 0)
    return Entry(cause, cause_id, currency, lines, order_id, event_id, evidence, note)
