"""The bodies that Mercado Pago's API takes; amounts are decimal numbers. Unknown members are refused, so that what a
client sends is what is written here."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec


class Payer(msgspec.Struct, forbid_unknown_fields=True):
    email: str


class PaymentBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    transaction_amount: Decimal
    token: str
    payment_method_id: str
    payer: Payer
    external_reference: str
    installments: int = 1
    capture: bool = True
    binary_mode: bool = False
    description: str | None = None
    notification_url: str | None = None


class ChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: str | None = None
    capture: bool | None = None
    transaction_amount: Decimal | None = None


class RefundBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    amount: Decimal | None = None


class Item(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    id: str
    title: str
    quantity: Annotated[int, msgspec.Meta(ge=1)]
    currency_id: str
    unit_price: Decimal


class PreferenceBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    items: Annotated[list[Item], msgspec.Meta(min_length=1, max_length=1)]
    external_reference: str
    expires: bool
    expiration_date_from: str
    expiration_date_to: str
    binary_mode: bool = False
    payment_methods: dict[str, Any] | None = None
    back_urls: dict[str, str] | None = None
    auto_return: str | None = None
    notification_url: str | None = None
