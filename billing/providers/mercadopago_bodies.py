"""What Mercado Pago is asked, as JSON bodies; amounts are JSON numbers with the currency's digits. No I/O here."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from ticketflow.currencies import to_decimal

Body = dict[str, Any]

_encode = msgspec.json.Encoder(decimal_format="number").encode


def json_of(body: Body) -> bytes:
    """Without the members that are None."""
    return _encode({name: value for name, value in body.items() if value is not None})


def payment(
    reference: str, amount_minor: int, currency: str, card_token: str, payer_email: str | None, notify_url: str | None
) -> Body:
    """``card_token``: ``visa:TOKEN``."""
    method, _, token = card_token.rpartition(":")
    return {
        "transaction_amount": to_decimal(amount_minor, currency),
        "token": token,
        "payment_method_id": method or None,
        "payer": {"email": payer_email},
        "installments": 1,
        "capture": False,
        "binary_mode": True,  # yes or no, at once
        "external_reference": reference,
        "description": "Tickets",
        "notification_url": notify_url,
    }


def preference(
    reference: str,
    amount_minor: int,
    currency: str,
    valid_s: tuple[int, int],
    return_url: str | None,
    notify_url: str | None,
) -> Body:
    """``valid_s``: from and to."""
    item = {
        "id": reference,
        "title": "Tickets",
        "quantity": 1,
        "currency_id": currency,
        "unit_price": to_decimal(amount_minor, currency),
    }
    return {
        "items": [item],
        "external_reference": reference,
        "expires": True,
        "expiration_date_from": _moment(valid_s[0]),
        "expiration_date_to": _moment(valid_s[1]),
        "binary_mode": True,
        # What is paid days later at a counter: no seat waits for that.
        "payment_methods": {"excluded_payment_types": [{"id": "ticket"}, {"id": "atm"}], "installments": 1},
        "back_urls": dict.fromkeys(("success", "pending", "failure"), return_url) if return_url else None,
        "auto_return": "approved" if return_url else None,
        "notification_url": notify_url,
    }


def capture(amount_minor: int, currency: str) -> Body:
    return {"capture": True, "transaction_amount": to_decimal(amount_minor, currency)}


CANCEL: Body = {"status": "cancelled"}


def refund(amount_minor: int, currency: str) -> Body:
    return {"amount": to_decimal(amount_minor, currency)}


def _moment(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
