"""The HTTP API of billing. Whoever has the hold's token may see the order and pay for it; nobody else may."""

from collections.abc import Sequence
from typing import Any

import msgspec

from billing.orders.answers import PaymentReply, Said
from billing.orders.shapes import HistoryView, LineView, OrderView, PayBody, PaymentView, TicketView
from billing.orders.states import OrderState
from billing.orders.words import text_of
from billing.payments.paying import Ask, Payments, Told
from billing.refunds.shapes import RefundView, buyers_view_of
from billing.store import refunds, views
from billing.store.times import to_utc
from billing.wallets.buyers import BUYER_PROOF, check_buyer
from ticketflow.events import hold_token
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.http.answer import PROBLEM_TYPE, problem_bytes
from ticketflow.runtime.mariadb import MariaDBPool

HOLD_TOKEN_HEADER = "X-Hold-Token"  # noqa: S105  the header's name
REPLAYED = {"Idempotency-Replayed": "true"}

_PROOF = ("hold_token_missing", "hold_token_wrong", "order_unknown", "order_not_yet")


class Api:
    def __init__(self, pool: MariaDBPool, payments: Payments, token_keys: Sequence[str]) -> None:
        self._pool = pool
        self._payments = payments
        self._token_keys = token_keys

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/api/v1/orders/{order_id}",
                handler=self.read_order,
                summary="An order with its payments, tickets and history (needs X-Hold-Token)",
                response=OrderView,
                problems=_PROOF,
                tags=("orders",),
            ),
            Route(
                method="POST",
                path="/api/v1/orders/{order_id}/payments",
                handler=self.pay,
                summary="Pay for an order (needs X-Hold-Token); 202 while the provider's answer is not known",
                body=PayBody,
                response=PaymentReply,
                status=201,
                problems=(
                    *_PROOF,
                    *BUYER_PROOF,
                    "credits_too_many",
                    "insufficient_credits",
                    "card_declined",
                    "payment_in_progress",
                    "order_confirmed",
                    "order_failed",
                    "hold_expired",
                    "provider_unavailable",
                    "idempotency_mismatch",
                ),
                idempotency_key=True,
                tags=("orders",),
            ),
        ]

    async def read_order(self, request: Request) -> Reply:
        order_id = request.path["order_id"]
        await self._check_proof(request, order_id)
        async with self._pool.acquire() as conn:
            # The history and tickets are read after the order: a CONFIRMED order never shows without its tickets.
            order = await views.order(conn, order_id)
            if order is None:
                raise _not_yet()
            view = _view(
                order,
                lines=await views.lines(conn, order_id),
                payments=await views.payments(conn, order_id),
                tickets=await views.tickets(conn, order_id),
                given_back=await refunds.of_order(conn, order_id),
                history=await views.history(conn, order_id),
            )
        return Reply(200, view)

    async def pay(self, request: Request) -> Reply:
        order_id = request.path["order_id"]
        await self._check_proof(request, order_id)
        body: PayBody = request.body
        _check_method(body)
        if body.method == "credits" or body.credits_minor:
            await self._check_buyer(request, order_id)
        told = await self._payments.pay(
            Ask(
                order_id=order_id,
                key=request.idempotency_key,
                fingerprint=request.fingerprint,
                method=body.method,
                card_token=body.card_token or "",
                credits_minor=body.credits_minor,
            )
        )
        return _reply(told, request.correlation_id)

    async def _check_buyer(self, request: Request, order_id: str) -> None:
        """Whoever has the hold's token may pay; the buyer's credits are spent by the buyer alone. Raises Problem."""
        async with self._pool.acquire() as conn:
            order = await views.order(conn, order_id)
        if order is None:
            raise _not_yet()
        check_buyer(self._token_keys, request, order["buyer_id"])

    async def _check_proof(self, request: Request, order_id: str) -> None:
        """Raises Problem. A true token is enough to know that the hold exists, whether or not its order is here yet."""
        token = request.headers.get(HOLD_TOKEN_HEADER)
        if not token:
            raise Problem(401, "hold_token_missing", f"send the hold's token in the header {HOLD_TOKEN_HEADER}")
        if hold_token.verify(self._token_keys, order_id, token):
            return
        async with self._pool.acquire() as conn:
            known = await views.order_exists(conn, order_id)
        if known:
            raise Problem(403, "hold_token_wrong", f"the token in {HOLD_TOKEN_HEADER} is not this order's")
        raise Problem(404, "order_unknown", "there is no such order")


def _check_method(body: PayBody) -> None:
    """Raises Problem."""
    if (body.method == "card") != (body.card_token is not None):
        raise Problem(422, "bad_body", "card_token belongs to the method card, and only to it")
    if body.method == "credits" and body.credits_minor:
        raise Problem(422, "bad_body", "with the method credits they pay it all: leave credits_minor out")


def _not_yet() -> Problem:
    return Problem(409, "order_not_yet", "the hold is real, but its order has not arrived here yet", retry_after_s=1)


def _reply(told: Told, correlation_id: str) -> Reply:
    headers = dict(REPLAYED) if told.replayed else {}
    if told.status < 300:
        if told.status == 202:
            headers["Retry-After"] = "1"
        return Reply(told.status, told.body, headers)
    said = msgspec.json.decode(told.body, type=Said)
    content = problem_bytes(told.status, said.code, said.detail, correlation_id)
    return Reply(told.status, content, headers | {"Content-Type": PROBLEM_TYPE})


def _view(
    order: views.Row,
    *,
    lines: Sequence[views.Row],
    payments: Sequence[views.Row],
    tickets: Sequence[views.Row],
    given_back: Sequence[refunds.Refund],
    history: Sequence[views.Row],
) -> OrderView:
    known: dict[str, Any] = order | {
        "placed_at": to_utc(order["placed_at"]),
        "expires_at": to_utc(order["expires_at"]),
        "reason": order["closing"] if order["state"] == OrderState.FAILED else None,
    }
    del known["closing"]
    return OrderView(
        **known,
        lines=[LineView(**line) for line in lines],
        payments=[_payment_view(payment) for payment in payments],
        tickets=[_ticket_view(ticket) for ticket in tickets],
        refunds=[_refund_view(refund, tickets) for refund in given_back],
        refunded_minor=sum(refund.amount_minor for refund in given_back if refund.state == refunds.REFUNDED),
        history=[
            HistoryView(**(h | {"at": to_utc(h["at"]), "text": text_of(h["code"], h["reason"])})) for h in history
        ],
    )


def _ticket_view(row: views.Row) -> TicketView:
    at = row["voided_at"]
    return TicketView(**(row | {"voided": at is not None, "voided_at": None if at is None else to_utc(at)}))


def _refund_view(refund: refunds.Refund, tickets: Sequence[views.Row]) -> RefundView:
    return buyers_view_of(refund, [row["ticket_id"] for row in tickets if row["refund_id"] == refund.refund_id])


def _payment_view(row: views.Row) -> PaymentView:
    until = row["redirect_until"]
    times = {
        "started_at": to_utc(row["started_at"]),
        "changed_at": to_utc(row["changed_at"]),
        "redirect_until": None if until is None else to_utc(until),
    }
    return PaymentView(**(row | times))
