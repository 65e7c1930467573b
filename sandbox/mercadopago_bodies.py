"""What the accounts look like in Mercado Pago's shapes. No I/O here.

Amounts are JSON numbers with the currency's digits; they are ``Decimal`` here, and never a float.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from sandbox.accounts import Refused
from ticketflow.currencies import to_decimal

NUMBERS_FROM = 1_300_000_000  # Mercado Pago's ids of payments have ten digits and more
_REASONS = {"do_not_honor": "cc_rejected_other_reason", "insufficient_funds": "cc_rejected_insufficient_amount"}
_encode = msgspec.json.Encoder(decimal_format="number").encode
REFUND_NUMBERS_FROM = 1_500_000_000


def json_of(body: dict[str, Any]) -> bytes:
    return _encode(body)


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """As it is kept under a key: amounts as text, marked."""
    return {name: {"decimal": str(value)} if isinstance(value, Decimal) else value for name, value in body.items()}


def unplain(body: dict[str, Any]) -> dict[str, Any]:
    """The other way."""
    return {
        name: Decimal(value["decimal"]) if isinstance(value, dict) and "decimal" in value else value
        for name, value in body.items()
    }


def moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat(timespec="milliseconds")


def payment(held: dict[str, Any], number: int) -> dict[str, Any]:
    status, detail = _status(held)
    currency, taken = held["currency"], held["state"] in ("captured", "refunded")
    return {
        "id": NUMBERS_FROM + number,
        "date_created": moment(held["created_at_us"]),
        "status": status,
        "status_detail": detail,
        "currency_id": currency,
        # What a partial capture leaves is the payment's amount from then on.
        "transaction_amount": to_decimal(held["captured_minor"] if taken else held["amount_minor"], currency),
        "transaction_amount_refunded": to_decimal(held["refunded_minor"], currency),
        "captured": taken,
        "external_reference": held["reference"],
        "payment_method_id": "visa",
        "payment_type_id": "credit_card",
        "installments": 1,
        "live_mode": False,
    }


def _status(held: dict[str, Any]) -> tuple[str, str]:
    match held["state"]:
        case "authorized":
            return "authorized", "pending_capture"
        case "declined":
            return "rejected", _REASONS.get(held["reason"], "cc_rejected_bad_filled_other")
        case "voided":
            return "cancelled", "by_collector"
        case "refunded" if held["refunded_minor"] == held["captured_minor"]:
            return "refunded", "refunded"
        case "refunded":
            return "approved", "partially_refunded"
        case _:
            return "approved", "accredited"


def refund(made: dict[str, Any], held: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": REFUND_NUMBERS_FROM + made["number"],
        "payment_id": NUMBERS_FROM + number,
        "amount": to_decimal(made["amount_minor"], held["currency"]),
        "date_created": moment(made["created_at_us"]),
        "status": "approved",
    }


def error(status: int, name: str, message: str, cause: int | None = None) -> dict[str, Any]:
    causes = [] if cause is None else [{"code": cause, "description": message, "data": None}]
    return {"message": message, "error": name, "status": status, "cause": causes}


def refusal(refused: Refused) -> tuple[int, dict[str, Any]]:
    """(status, body)"""
    match refused.code:
        case "authorization_unknown":
            return 404, error(404, "not_found", "Payment not found", 2000)
        case "amount_too_large":
            return 400, error(400, "bad_request", "Invalid transaction_amount", 4040)
        case code if code.startswith("authorization_"):
            return 400, error(400, "bad_request", "The action is not valid for the current payment state", 2063)
        case code:
            return refused.status, error(refused.status, code, refused.detail)


def failure(status: int) -> dict[str, Any]:
    names = {429: "too_many_requests", 409: "conflict"}
    return error(status, names.get(status, "internal_server_error"), "the fault that was asked for")


def notification(number: int, kind: str, notification_id: int, at_us: int) -> dict[str, Any]:
    """``kind``: the accounts' word. The payment's id is all that it tells."""
    return {
        "id": notification_id,
        "live_mode": False,
        "type": "payment",
        "date_created": moment(at_us),
        "user_id": 44444,
        "api_version": "v1",
        "action": "payment.created" if kind in ("authorized", "declined") else "payment.updated",
        "data": {"id": str(NUMBERS_FROM + number)},
    }
