"""The bodies of the payment provider's API."""

from typing import Annotated, Literal

import msgspec

from sandbox.faults import Fault

Amount = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class AuthorizeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``reference``: the merchant's own id; amounts in minor units."""

    reference: Text
    amount_minor: Amount
    currency: Currency
    card_token: Text


class AmountBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    amount_minor: Amount


class VoidBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class CheckoutBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``captures_at_once``: what is paid is captured, not only set aside."""

    reference: Text
    amount_minor: Amount
    currency: Currency
    expires_s: Annotated[int, msgspec.Meta(ge=1, le=604_800)] = 86_400
    captures_at_once: bool = False


class CheckoutReply(msgspec.Struct, kw_only=True):
    url: str
    expires_at_us: int
    captures_at_once: bool


class Wanted(msgspec.Struct, kw_only=True):
    """Either those of one ``reference``, or the books: all that were made from ``since_us`` on, the oldest first,
    ``limit`` of them behind the authorization ``after``."""

    reference: Text | None = None
    since_us: Annotated[int, msgspec.Meta(ge=0)] = 0
    after: Text | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1000


class AuthorizationReply(msgspec.Struct, kw_only=True):
    """``reason``: of a decline."""

    authorization_id: str
    reference: str
    state: Literal["authorized", "declined", "captured", "voided", "refunded"]
    amount_minor: int
    currency: str
    captured_minor: int
    refunded_minor: int
    reason: str | None
    created_at_us: int


class AuthorizationList(msgspec.Struct, kw_only=True):
    items: list[AuthorizationReply]


class FaultList(msgspec.Struct, kw_only=True):
    items: list[Fault]


class CurrencyTotals(msgspec.Struct, kw_only=True):
    """``authorized_minor``: all that was ever set aside; ``open_minor``: what still is, neither taken nor set free."""

    authorized_minor: int
    captured_minor: int
    voided_minor: int
    refunded_minor: int
    open_minor: int


class Totals(msgspec.Struct, kw_only=True):
    """By currency; ``counts``: authorizations by their state."""

    by_currency: dict[str, CurrencyTotals]
    counts: dict[str, int]


class WebhookCounts(msgspec.Struct, kw_only=True):
    waiting: int
    sent: int
    given_up: int
