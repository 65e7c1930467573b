"""The bodies of the wallets' API. Amounts in minor units of ``currency``; times RFC 3339, UTC."""

from datetime import datetime
from typing import Annotated

import msgspec

from billing.ledger.entries import MINOR_MAX
from billing.store.times import to_utc
from billing.store.topups import Topup
from billing.store.wallets import PAGE_MAX

Amount = Annotated[int, msgspec.Meta(gt=0, le=MINOR_MAX)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$(?!\n)", description="ISO 4217")]


class TopupBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    amount_minor: Amount
    currency: Currency


class TopupView(msgspec.Struct, kw_only=True):
    """``state``: STARTED until the provider has told us that it is paid, CREDITED then; FAILED: nothing came;
    RETURNING, RETURNED: what came could not be credited (``reason``) and goes, or went, back."""

    topup_id: str
    buyer_id: str
    state: str
    amount_minor: int
    currency: str
    redirect_url: str | None
    redirect_until: datetime | None
    reason: str | None
    created_at: datetime
    changed_at: datetime


class BalanceView(msgspec.Struct, kw_only=True):
    """``frozen_minor``: set aside for payments under way, or in dispute."""

    currency: str
    available_minor: int
    frozen_minor: int


class WalletView(msgspec.Struct, kw_only=True):
    buyer_id: str
    balances: list[BalanceView]


class StatementQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``before``: ``next`` of the page before."""

    currency: Currency
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 50


class MovementView(msgspec.Struct, kw_only=True):
    """One entry of the ledger, as its buyer sees it. Changes are above zero for what the buyer gained."""

    entry_id: int
    at: datetime
    cause: str
    cause_id: str
    order_id: str | None
    event_id: str | None
    available_change_minor: int
    frozen_change_minor: int
    available_after_minor: int
    frozen_after_minor: int


class StatementView(msgspec.Struct, kw_only=True):
    """The newest first. ``next``: ``before`` of the next page; none: this is the last."""

    currency: str
    items: list[MovementView]
    next: int | None


class TokenView(msgspec.Struct, kw_only=True):
    """``token``: for the header X-Buyer-Token."""

    buyer_id: str
    token: str


class FreezeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``freeze_id``: the dispute's id, so that a repeated request freezes once; made when it is left out."""

    amount_minor: Amount
    currency: Currency
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    freeze_id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:-]{1,64}$(?!\n)")] | None = None


class FreezeView(msgspec.Struct, kw_only=True):
    freeze_id: str
    buyer_id: str
    amount_minor: int
    currency: str
    reason: str
    frozen_at: datetime
    released_at: datetime | None


def topup_view(topup: Topup) -> TopupView:
    until = topup.redirect_until
    return TopupView(
        topup_id=topup.topup_id,
        buyer_id=topup.buyer_id,
        state=topup.state,
        amount_minor=topup.amount_minor,
        currency=topup.currency,
        redirect_url=topup.redirect_url,
        redirect_until=None if until is None else to_utc(until),
        reason=topup.reason,
        created_at=to_utc(topup.created_at),
        changed_at=to_utc(topup.changed_at),
    )
