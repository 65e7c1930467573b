"""What Stripe's API says and takes: PaymentIntents, amounts, errors. No I/O here.

Stripe counts in a currency's smallest unit, with exceptions of its own: ISK and UGX are written with two digits that
they do not have, MGA without the two that it has, and of three digits (KWD) the last must be 0.
"""

import msgspec

from billing.providers.http import HttpAnswer, decode
from billing.providers.port import (
    Authorization,
    AuthorizationState,
    Declined,
    ProviderIndefinite,
    ProviderUnavailable,
    Refused,
)
from ticketflow.currencies import CurrencyUnknown, exponent

_EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}


class Charge(msgspec.Struct):
    amount_refunded: int = 0


class IntentError(msgspec.Struct):
    code: str | None = None
    decline_code: str | None = None

    @property
    def reason(self) -> str:
        return self.decline_code or self.code or "declined"


class Intent(msgspec.Struct):
    """``latest_charge``: asked for with ``expand[]``, else an id."""

    id: str
    status: str
    amount: int
    currency: str
    amount_received: int = 0
    metadata: dict[str, str] | None = None
    last_payment_error: IntentError | None = None
    latest_charge: Charge | str | None = None


class IntentList(msgspec.Struct):
    data: list[Intent]


class Named(msgspec.Struct):
    id: str


class Refund(msgspec.Struct):
    """``payment_intent`` is asked for with ``expand[]``."""

    id: str
    payment_intent: Intent
    status: str | None = None


class RefundEntry(msgspec.Struct):
    status: str | None = None
    metadata: dict[str, str] | None = None


class RefundList(msgspec.Struct):
    data: list[RefundEntry]


class Session(msgspec.Struct):
    url: str
    expires_at: int  # seconds


class ErrorBody(msgspec.Struct):
    type: str = "api_error"
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class ErrorAnswer(msgspec.Struct):
    error: ErrorBody = msgspec.field(default_factory=ErrorBody)


def stripe_amount(amount_minor: int, currency: str) -> int:
    """Raises Refused for an amount, or a currency, that Stripe cannot express."""
    try:
        digits = exponent(currency)
    except CurrencyUnknown as error:
        raise Refused("currency_unknown") from error
    theirs = _EXPONENTS.get(currency, digits)
    amount, rest = divmod(amount_minor * int(10**theirs), int(10**digits))
    if rest or (digits == 3 and amount % 10):
        raise Refused("amount_not_expressible")
    return amount


def minor_amount(amount: int, currency: str) -> int:
    """The other way. Raises ProviderIndefinite for what cannot be."""
    try:
        digits = exponent(currency)
    except CurrencyUnknown as error:
        raise ProviderIndefinite(f"the provider answers in {currency}") from error
    whole, rest = divmod(amount * int(10**digits), int(10 ** _EXPONENTS.get(currency, digits)))
    if rest:
        raise ProviderIndefinite(f"the provider answers {amount} of {currency}")
    return whole


def authorization(intent: Intent) -> Authorization | None:
    """None: nothing stands in it yet. Raises ProviderUnavailable while Stripe has not made up its mind."""
    state = _state(intent)
    if state is None:
        return None
    currency = intent.currency.upper()
    charge = intent.latest_charge
    # Cancelling gives back what was only set aside, which the charge also calls refunded.
    refunded = charge.amount_refunded if isinstance(charge, Charge) and state != "voided" else 0
    error = intent.last_payment_error
    return Authorization(
        authorization_id=intent.id,
        state="refunded" if state == "captured" and refunded else state,
        amount_minor=minor_amount(intent.amount, currency),
        captured_minor=minor_amount(intent.amount_received, currency),
        refunded_minor=minor_amount(refunded, currency),
        reason=error.reason if state == "declined" and error is not None else None,
        reference=(intent.metadata or {}).get("reference"),
        currency=currency,
    )


def _state(intent: Intent) -> AuthorizationState | None:
    match intent.status:
        case "requires_capture":
            return "authorized"
        case "succeeded":
            return "captured"
        case "canceled":
            return "voided"
        case "requires_payment_method":
            return "declined" if intent.last_payment_error is not None else None
        case "requires_confirmation" | "requires_action":
            return None
        case other:  # processing, and what this release does not know
            raise ProviderUnavailable(f"{intent.id} is {other}")


def accepted(answer: HttpAnswer) -> bytes:
    """The body of a success; raises what any other answer means."""
    if answer.good:
        return answer.body
    if answer.status in (408, 409, 424):  # the same key is being served now, or somebody behind Stripe failed
        raise ProviderIndefinite(f"the provider answers {answer.status}")
    if answer.status in (401, 403, 429):  # before anything is executed
        raise ProviderUnavailable(f"the provider answers {answer.status}")
    if 400 <= answer.status < 500:
        error = decode(answer.body, ErrorAnswer).error
        if error.type == "card_error" and answer.status == 402:
            raise Declined(error.decline_code or error.code or "declined")
        raise Refused(error.code or error.type)
    raise ProviderIndefinite(f"the provider answers {answer.status}")  # 5xx says nothing about what was done before it
