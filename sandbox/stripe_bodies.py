"""What the accounts look like in Stripe's shapes. No I/O here.

Only fields that a client of PaymentIntents could care for are there; names and values are those of Stripe's public
reference.
"""

from typing import Any

from sandbox.accounts import Refused
from ticketflow.currencies import exponent

API_VERSION = "2024-06-20"
# Where Stripe's amounts have other digits than ISO 4217.
_EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}
_STATUS = {
    "authorized": "requires_capture",
    "declined": "requires_payment_method",
    "captured": "succeeded",
    "refunded": "succeeded",
    "voided": "canceled",
}
EVENTS = {
    "authorized": "payment_intent.amount_capturable_updated",
    "declined": "payment_intent.payment_failed",
    "captured": "payment_intent.succeeded",
    "voided": "payment_intent.canceled",
    "refunded": "charge.refunded",
}


def intent_id(authorization_id: str) -> str:
    return "pi_" + authorization_id.removeprefix("auth_")


def authorization_id(intent: str) -> str:
    return "auth_" + intent.removeprefix("pi_")


def to_stripe(amount_minor: int, currency: str) -> int:
    return amount_minor * int(10 ** _EXPONENTS.get(currency, exponent(currency))) // int(10 ** exponent(currency))


def from_stripe(amount: int, currency: str) -> int:
    return amount * int(10 ** exponent(currency)) // int(10 ** _EXPONENTS.get(currency, exponent(currency)))


def intent(held: dict[str, Any], *, expanded: bool = False) -> dict[str, Any]:
    """``expanded``: with the charge itself, not its id."""
    currency, state = held["currency"], held["state"]
    amount = to_stripe(held["amount_minor"], currency)
    of_charge = charge(held)
    return {
        "id": intent_id(held["authorization_id"]),
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": amount if state == "authorized" else 0,
        "amount_received": to_stripe(held["captured_minor"], currency),
        "canceled_at": held["created_at_us"] // 1_000_000 if state == "voided" else None,
        "capture_method": "manual",
        "created": held["created_at_us"] // 1_000_000,
        "currency": currency.lower(),
        "last_payment_error": card_error(held["reason"]) if state == "declined" else None,
        "latest_charge": of_charge if expanded else of_charge["id"],
        "livemode": False,
        "metadata": {"reference": held["reference"]},
        "payment_method_types": ["card"],
        "status": _STATUS[state],
    }


def charge(held: dict[str, Any]) -> dict[str, Any]:
    currency, state = held["currency"], held["state"]
    amount = to_stripe(held["amount_minor"], currency)
    back = amount if state == "voided" else to_stripe(held["refunded_minor"], currency)
    taken = to_stripe(held["captured_minor"], currency)
    return {
        "id": "ch_" + held["authorization_id"].removeprefix("auth_"),
        "object": "charge",
        "amount": amount,
        "amount_captured": taken,
        "amount_refunded": back,
        "captured": state in ("captured", "refunded"),
        "created": held["created_at_us"] // 1_000_000,
        "currency": currency.lower(),
        "failure_code": "card_declined" if state == "declined" else None,
        "livemode": False,
        "metadata": {"reference": held["reference"]},
        "paid": state != "declined",
        "payment_intent": intent_id(held["authorization_id"]),
        "refunded": state == "voided" or (taken > 0 and back == taken),
        "status": "failed" if state == "declined" else "succeeded",
    }


def refund(made: dict[str, Any], held: dict[str, Any], *, expanded: bool = False) -> dict[str, Any]:
    return {
        "id": made["refund_id"],
        "object": "refund",
        "amount": to_stripe(made["amount_minor"], held["currency"]),
        "charge": charge(held)["id"],
        "created": made["created_at_us"] // 1_000_000,
        "currency": held["currency"].lower(),
        "metadata": {"key": made["note"]} if made["note"] is not None else {},
        "payment_intent": intent(held, expanded=True) if expanded else intent_id(held["authorization_id"]),
        "status": "succeeded",
    }


def listed(url: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "url": url, "has_more": False, "data": data}


def card_error(reason: str | None) -> dict[str, Any]:
    return {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": reason,
        "message": "Your card was declined.",
    }


def error(kind: str, message: str, code: str | None = None, **more: Any) -> dict[str, Any]:
    said = {"type": kind, "message": message, **({"code": code} if code else {}), **more}
    return {"error": said}


def refusal(refused: Refused) -> tuple[int, dict[str, Any]]:
    """(status, body)"""
    bad = "invalid_request_error"
    match refused.code:
        case "idempotency_mismatch":
            message = "This key was first used with other parameters."
            return 400, error("idempotency_error", message)
        case "authorization_unknown" | "customer_unknown":
            return 404, error(bad, refused.detail, "resource_missing")
        case "amount_too_large":
            return 400, error(bad, refused.detail, "amount_too_large")
        case code if code.startswith("authorization_"):
            return 400, error(bad, refused.detail, "payment_intent_unexpected_state")
        case code:
            return 400, error(bad, refused.detail, code)


def failure(status: int) -> dict[str, Any]:
    if status == 429:
        return error("invalid_request_error", "Too many requests hit the API too quickly.", "rate_limit")
    if status == 409:
        return error(
            "invalid_request_error", "Another request with this key is being served.", "idempotency_key_in_use"
        )
    return error("api_error", "An unknown error occurred.")


def event(event_id: str, kind: str, held: dict[str, Any], at_s: int) -> dict[str, Any]:
    """``kind``: the accounts' word."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": at_s,
        "data": {"object": charge(held) if kind == "refunded" else intent(held)},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": EVENTS[kind],
    }
