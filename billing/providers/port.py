"""The port to a payment provider: what billing needs of one, whichever it is.

Laws:
- Every call that moves money carries an idempotency key of ours: repeating it cannot move the money twice.
- An error says whether the thing may have happened. ``ProviderIndefinite`` is never taken for a failure: the truth is
  then found out with ``fetch`` by our own reference.
- What a webhook says is a hint, never the truth: whoever gets one asks with ``fetch`` or ``read``.
- Amounts are whole minor units of ISO 4217; adapters turn them into what their provider wants.
- No card number ever comes near us; a card token is passed on and kept nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from ticketflow.events import is_id, time_of_us

AuthorizationState = Literal["authorized", "declined", "captured", "voided", "refunded"]

REDIRECT_EXPIRY_S = 86_400  # how long a buyer may take on the provider's page


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


class BadSignature(ProviderError):
    """A webhook that the provider did not sign, or not lately. The message is a code: ``missing``, ``malformed``,
    ``wrong``, ``too_old``, ``from_the_future``, ``no_secret``."""


class NotUnderstood(ProviderError):
    """A webhook that is signed well and tells of nothing that we know by name."""


@dataclass(frozen=True)
class Authorization:
    """Money set aside at the provider, and what became of it. Amounts in minor units."""

    authorization_id: str
    state: AuthorizationState
    amount_minor: int
    captured_minor: int = 0
    refunded_minor: int = 0
    reason: str | None = None  # of a decline
    reference: str | None = None  # our payment's id
    currency: str | None = None  # ISO 4217, where the provider has said so

    @property
    def kept_minor(self) -> int:
        """What is ours of it."""
        return self.captured_minor - self.refunded_minor

    @property
    def holds_money(self) -> bool:
        """Whether there is something to give back."""
        return self.state == "authorized" or self.kept_minor > 0


@dataclass(frozen=True)
class Redirect:
    """Where the buyer pays. ``captures_at_once``: when he has, the money is taken and not only set aside."""

    url: str
    expires_at_us: int
    captures_at_once: bool


@dataclass(frozen=True)
class WebhookEvent:
    """What a webhook is about. ``provider_event_id`` is the same for each repetition. Of ``reference`` and
    ``authorization_id`` at least one is known; ``kind`` is the provider's own word."""

    provider_event_id: str
    kind: str
    reference: str | None
    authorization_id: str | None


class Provider(Protocol):
    """Calls are made between ``open`` and ``close``. ``name`` is that of the setting, and of webhooks."""

    @property
    def name(self) -> str: ...

    async def open(self) -> None:
        """Connects to nothing yet."""
        ...

    async def close(self) -> None: ...

    async def authorize(self, *, reference: str, amount_minor: int, currency: str, card_token: str) -> Authorization:
        """Sets money aside. ``reference`` is our payment's id, and the idempotency key. Raises ProviderError."""
        ...

    async def begin(
        self, *, reference: str, amount_minor: int, currency: str, expires_s: int = REDIRECT_EXPIRY_S
    ) -> Redirect:
        """A page of the provider's where the buyer pays within ``expires_s``; nothing is set aside before he has.
        Repeated with the same arguments it gives the same page. Raises Refused, ProviderUnavailable,
        ProviderIndefinite."""
        ...

    async def capture(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        """Takes the money. Raises Refused, ProviderUnavailable, ProviderIndefinite."""
        ...

    async def void(self, authorization_id: str, *, key: str) -> Authorization:
        """Sets it free; once it is, again without effect. Raises Refused, ProviderUnavailable, ProviderIndefinite."""
        ...

    async def refund(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        """Gives captured money back, in parts if asked so. Raises Refused, ProviderUnavailable, ProviderIndefinite."""
        ...

    async def fetch(self, reference: str) -> Authorization | None:
        """What the provider knows under our reference; None: nothing. Where several stand under it, the one with money
        in it. Raises ProviderUnavailable, also while the provider itself has not made up its mind."""
        ...

    async def fetch_all(self, reference: str) -> list[Authorization]:
        """All that stand under our reference, those with money in them first: for who looks for double payments.
        Raises ProviderUnavailable."""
        ...

    async def read(self, authorization_id: str) -> Authorization | None:
        """As it stands now, by the provider's own id. Raises ProviderUnavailable."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, now_s: int) -> WebhookEvent:
        """Who sent it, and what about. ``headers``: names in any case. Raises BadSignature, NotUnderstood."""
        ...


def best_first(found: list[Authorization]) -> list[Authorization]:
    """Those in which money stands first, then those in which it stood, then what was declined."""
    order: dict[AuthorizationState, int] = {"captured": 0, "authorized": 1, "refunded": 2, "voided": 3, "declined": 4}
    return sorted(found, key=lambda one: order[one.state])


def begun_s(reference: str, now_s: int) -> int:
    """When the payment began: our references are UUIDv7, which say so. From it follows when a page expires, so that a
    repeat asks for the very same. ``now_s`` for a reference that is none."""
    return time_of_us(reference) // 1_000_000 if is_id(reference) else now_s
