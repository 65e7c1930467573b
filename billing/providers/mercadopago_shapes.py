"""What Mercado Pago's API says and takes: payments, preferences, errors. No I/O here.

Its amounts are decimal numbers: they are read and written as ``Decimal``, with the digits of the currency.
"""

from decimal import Decimal
from typing import Any

import msgspec

from billing.providers.http import HttpAnswer, decode
from billing.providers.port import (
    Authorization,
    AuthorizationState,
    ProviderIndefinite,
    ProviderUnavailable,
    Refused,
)
from ticketflow.currencies import to_minor


class Payment(msgspec.Struct):
    id: int
    status: str
    transaction_amount: Decimal
    currency_id: str
    status_detail: str | None = None
    transaction_amount_refunded: Decimal | None = None
    external_reference: str | None = None


class Found(msgspec.Struct):
    id: int


class Search(msgspec.Struct):
    results: list[Found]


class Refund(msgspec.Struct):
    id: int
    status: str = "approved"


class Preference(msgspec.Struct):
    init_point: str


class Cause(msgspec.Struct):
    code: int | str | None = None


class ErrorAnswer(msgspec.Struct):
    error: str | None = None
    cause: Any = None  # a list of Cause


def authorization(payment: Payment) -> Authorization:
    """Raises ProviderUnavailable while Mercado Pago has not made up its mind, ProviderIndefinite."""
    state = _state(payment)
    try:
        amount = to_minor(payment.transaction_amount, payment.currency_id)
        refunded = to_minor(payment.transaction_amount_refunded or Decimal(0), payment.currency_id)
    except ValueError as error:
        raise ProviderIndefinite(f"the provider answers {error}") from error
    taken = state in ("captured", "refunded")
    if payment.status == "charged_back":  # the buyer's bank has taken it back
        refunded = amount
    return Authorization(
        authorization_id=str(payment.id),
        state="refunded" if taken and refunded else state,
        amount_minor=amount,
        captured_minor=amount if taken else 0,
        refunded_minor=refunded if taken else 0,
        reason=payment.status_detail if state == "declined" else None,
        reference=payment.external_reference,
        currency=payment.currency_id,
    )


def _state(payment: Payment) -> AuthorizationState:
    match payment.status:
        case "authorized":
            return "authorized"
        case "approved" | "in_mediation":
            return "captured"
        case "refunded" | "charged_back":
            return "refunded"
        case "cancelled":
            return "voided"
        case "rejected":
            return "declined"
        case other:  # pending, in_process, and what this release does not know
            raise ProviderUnavailable(f"payment {payment.id} is {other}")


def accepted(answer: HttpAnswer) -> bytes:
    """The body of a success; raises what any other answer means."""
    if answer.good:
        return answer.body
    if answer.status in (401, 403, 429):  # before anything is done
        raise ProviderUnavailable(f"the provider answers {answer.status}")
    if answer.status in (408, 409, 423):  # it was asked for the same at this moment, or gave up waiting
        raise ProviderIndefinite(f"the provider answers {answer.status}")
    if 400 <= answer.status < 500:
        raise Refused(_code(answer.body))
    raise ProviderIndefinite(f"the provider answers {answer.status}")  # 5xx says nothing about what was done before it


def _code(body: bytes) -> str:
    said = decode(body, ErrorAnswer)
    try:
        causes = msgspec.convert(said.cause or [], list[Cause])
    except msgspec.ValidationError:  # for people then
        causes = []
    codes = [str(cause.code) for cause in causes if cause.code is not None]
    return ":".join([said.error or "bad_request", *codes[:1]])
