"""The port to a payment provider: what billing needs of one, whichever it is.

Laws:
- Every call that moves money carries an idempotency key of ours: repeating it cannot move the money twice.
- An error says whether the thing may have happened. ``ProviderIndefinite`` is never taken for a failure: the truth is
  then found out with ``fetch`` by our own reference.
- No card number ever comes near us; a card token is passed on and kept nowhere.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

AuthorizationState = Literal["authorized", "declined", "captured", "voided", "refunded"]


class ProviderError(Exception):
    """Base of everything the provider, or the way to it, can do to us."""


class Declined(ProviderError):
    """The card's bank says no. The message is the provider's reason code."""


class Refused(ProviderError):
    """The provider will never do this (captured already, voided, unknown). Definite. The message is its code."""


class ProviderUnavailable(ProviderError):
    """It has definitely not been done; try later."""


class ProviderIndefinite(ProviderError):
    """It may have been done: the request was sent, and no answer that says so came back."""


@dataclass(frozen=True)
class Authorization:
    """Money set aside at the provider, and what became of it. Amounts in minor units."""

    authorization_id: str
    state: AuthorizationState
    amount_minor: int
    captured_minor: int = 0
    refunded_minor: int = 0
    reason: str | None = None  # of a decline

    @property
    def kept_minor(self) -> int:
        """What is ours of it."""
        return self.captured_minor - self.refunded_minor


class Provider(Protocol):
    async def authorize(self, *, reference: str, amount_minor: int, currency: str, card_token: str) -> Authorization:
        """Sets money aside. ``reference`` is our payment's id, and the idempotency key. Raises ProviderError."""
        ...

    async def capture(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        """Takes the money. Raises Refused, ProviderUnavailable, ProviderIndefinite."""
        ...

    async def void(self, authorization_id: str, *, key: str) -> Authorization:
        """Sets it free. Raises Refused, ProviderUnavailable, ProviderIndefinite."""
        ...

    async def refund(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        """Gives captured money back. Raises Refused, ProviderUnavailable, ProviderIndefinite."""
        ...

    async def fetch(self, reference: str) -> Authorization | None:
        """What the provider knows under our reference; None: nothing. Raises ProviderUnavailable."""
        ...
