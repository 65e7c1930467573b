"""The bodies of the API. Amounts in minor units of ``currency``; times RFC 3339, UTC."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from billing.ledger.entries import MINOR_MAX
from billing.refunds.shapes import RefundView


class PayBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``method``: a card by its token, credits alone, or redirect: a page of the provider's. ``card_token``: the
    provider's token for the card; it is passed on and never kept. ``credits_minor``: what credits pay beside a card or
    page. Credits need the header X-Buyer-Token."""

    # A repeated request has the fingerprint it had in the release before: what is new is left out where it is not used,
    # and what was always encoded still is, as a default that a factory makes.
    method: Literal["card", "credits", "redirect"] = msgspec.field(default_factory=lambda: "card")
    card_token: Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern="^[A-Za-z0-9_.:-]+$")] | None = None
    credits_minor: Annotated[int, msgspec.Meta(ge=0, le=MINOR_MAX)] = 0


class LineView(msgspec.Struct, kw_only=True):
    unit_id: str
    tier: str
    label: str
    price_minor: int


class PaymentView(msgspec.Struct, kw_only=True):
    """``credits_minor``: the part that credits pay. ``reason``: why it was declined, failed or voided."""

    payment_id: str
    state: str
    method: str
    amount_minor: int
    credits_minor: int
    currency: str
    reason: str | None
    started_at: datetime
    changed_at: datetime
    redirect_url: str | None
    redirect_until: datetime | None


class TicketView(msgspec.Struct, kw_only=True):
    """``voided_at``: since when it admits nobody. ``refund_id``: the refund that voided it."""

    ticket_id: str
    unit_id: str
    tier: str
    label: str
    voided: bool
    voided_at: datetime | None
    refund_id: str | None


class HistoryView(msgspec.Struct, kw_only=True):
    """``code`` is stable; ``text`` is for people and may change."""

    at: datetime
    code: str
    text: str
    payment_id: str | None
    reason: str | None


class OrderView(msgspec.Struct, kw_only=True):
    """``reason``: why it failed. ``refunded_minor``: what has gone back of it, by the refunds that are REFUNDED."""

    order_id: str
    state: Literal["PENDING", "CONFIRMED", "FAILED", "PARTIALLY_REFUNDED", "REFUNDED"]
    event_id: str
    event_name: str
    buyer_id: str
    total_minor: int
    currency: str
    lines: list[LineView]
    placed_at: datetime
    expires_at: datetime
    reason: str | None
    payments: list[PaymentView]
    tickets: list[TicketView]
    refunds: list[RefundView]
    refunded_minor: int
    history: list[HistoryView]
