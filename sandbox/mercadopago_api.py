"""Mercado Pago's API over the accounts: payments by a card's token, refunds, preferences, the search.

What is paid on a preference's page is captured at once; a payment made with ``capture: false`` is set aside first.
"""

import hmac
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from sandbox import mercadopago_bodies as bodies
from sandbox.accounts import Answer, Refused
from sandbox.announcements import Announcements
from sandbox.checkouts import Checkouts
from sandbox.desk import Desk
from sandbox.faults import Operation
from sandbox.mercadopago_shapes import ChangeBody, PaymentBody, PreferenceBody, RefundBody
from sandbox.pages import page_url
from ticketflow.currencies import to_minor
from ticketflow.runtime.http import Reply, Request, Route

ROOT = "/mercadopago"


class Query(msgspec.Struct, kw_only=True):
    external_reference: str = ""
    limit: int = 30


class MercadoPagoWire:
    name = "mercadopago"
    keeps_errors = False

    def failure(self, status: int) -> Answer:
        return Answer(status, bodies.failure(status))

    def refusal(self, refused: Refused) -> Answer:
        return Answer(*bodies.refusal(refused))

    def reply(self, answer: Answer) -> Reply:
        return Reply(answer.status, bodies.json_of(bodies.unplain(answer.body)), {"Content-Type": "application/json"})


class MercadoPagoApi:
    """``currency``: that of the account."""

    def __init__(
        self, desk: Desk, checkouts: Checkouts, announcements: Announcements, key: str, *, currency: str
    ) -> None:
        self._desk = desk
        self._accounts = desk.accounts
        self._checkouts = checkouts
        self._announcements = announcements
        self._key = key
        self._currency = currency
        self._wire = MercadoPagoWire()

    def routes(self) -> list[Route]:
        payments = f"{ROOT}/v1/payments"
        one = payments + "/{payment}"
        route = self._route
        return [
            route("POST", payments, "Pay with a card's token", lambda _: "authorize", PaymentBody, self._pay),
            route("PUT", one, "Capture or cancel", _of_change, ChangeBody, self._change),
            route("POST", f"{one}/refunds", "Refund", lambda _: "refund", RefundBody, self._refund),
            route("POST", f"{ROOT}/checkout/preferences", "A page", lambda _: "begin", PreferenceBody, self._prefer),
            self._get(one, "One payment", self._read),
            self._get(f"{payments}/search", "Payments by reference", self._search, Query),
        ]

    def _pay(self, body: PaymentBody, _request: Request) -> Answer:
        amount = self._minor(body.transaction_amount)
        made = self._accounts.authorize(body.external_reference, amount, self._currency, body.token)
        authorization_id = made.body["authorization_id"]
        if body.capture and made.status != 402:
            self._accounts.capture(authorization_id, amount)
        return self._told(authorization_id, 201)

    def _change(self, body: ChangeBody, request: Request) -> Answer:
        one = self._one(request)
        held = self._accounts.read(one)
        if body.status == "cancelled":
            if held["state"] != "authorized":
                raise Refused(409, f"authorization_{held['state']}", "it cannot be cancelled any more")
            self._accounts.void(one)
        elif body.capture:
            given = body.transaction_amount
            self._accounts.capture(one, held["amount_minor"] if given is None else self._minor(given))
        else:
            raise Refused(400, "bad_request", "nothing to do")
        return self._told(one, 200)

    def _refund(self, body: RefundBody, request: Request) -> Answer:
        one = self._one(request)
        held = self._accounts.read(one)
        left = held["captured_minor"] - held["refunded_minor"]
        held = self._accounts.refund(one, left if body.amount is None else self._minor(body.amount)).body
        self._announcements.tell(self._wire.name, one)
        made = bodies.refund(self._accounts.refunds(one)[-1], held, self._accounts.number(one))
        return Answer(201, bodies.plain(made))

    def _prefer(self, body: PreferenceBody, request: Request) -> Answer:
        (item,) = body.items
        if item.currency_id != self._currency:
            raise Refused(400, "invalid_items", "currency_id invalid")
        expires = datetime.fromisoformat(body.expiration_date_to)
        made = self._checkouts.add(
            self._wire.name,
            body.external_reference,
            self._minor(item.unit_price) * item.quantity,
            self._currency,
            captures=True,
            expires_at_us=int(expires.timestamp()) * 1_000_000,
            return_url=(body.back_urls or {}).get("success"),
        )
        url = page_url(request, made.checkout_id)
        reply = {
            "id": f"44444-{made.checkout_id}",
            "collector_id": 44444,
            "external_reference": body.external_reference,
            "expires": body.expires,
            "expiration_date_from": body.expiration_date_from,
            "expiration_date_to": body.expiration_date_to,
            "init_point": url,
            "sandbox_init_point": url,
        }
        return Answer(201, reply)

    def _read(self, _query: None, request: Request) -> Answer:
        return self._payment(self._one(request), 200)

    def _search(self, query: Query, _request: Request) -> Answer:
        found = self._accounts.by_reference(query.external_reference)[::-1]
        numbered = [(one, self._accounts.number(one["authorization_id"])) for one in found[: query.limit]]
        paging = {"total": len(found), "limit": query.limit, "offset": 0}
        return Answer(200, {"paging": paging, "results": [bodies.payment(one, number) for one, number in numbered]})

    def _told(self, authorization_id: str, status: int) -> Answer:
        self._announcements.tell(self._wire.name, authorization_id)
        return self._payment(authorization_id, status)

    def _payment(self, authorization_id: str, status: int) -> Answer:
        number = self._accounts.number(authorization_id)
        return Answer(status, bodies.plain(bodies.payment(self._accounts.read(authorization_id), number)))

    def _one(self, request: Request) -> str:
        text = request.path["payment"]
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Refused(404, "authorization_unknown", "that is no payment's id")
        return self._accounts.numbered(int(text) - bodies.NUMBERS_FROM)

    def _minor(self, amount: Decimal) -> int:
        try:
            return to_minor(amount, self._currency)
        except ValueError as error:
            raise Refused(400, "bad_request", f"Invalid transaction_amount: {error}") from error

    def _route(
        self,
        method: str,
        path: str,
        summary: str,
        operation: Callable[[Any], Operation],
        shape: type[Any],
        act: Callable[[Any, Request], Answer],
    ) -> Route:
        async def handler(request: Request) -> Reply:
            if (refused := self._before(request)) is not None:
                return refused
            key = request.headers.get("X-Idempotency-Key") or f"none {time.time_ns()}"
            try:
                body = msgspec.json.decode(request.body, type=shape)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                return Reply(400, bodies.error(400, "bad_request", str(error), 1))
            token = body.token if isinstance(body, PaymentBody) else None
            return await self._desk.change(
                self._wire, operation(body), key, request.fingerprint, lambda: act(body, request), card_token=token
            )

        return Route(method=method, path=path, handler=handler, summary=f"Mercado Pago: {summary}", body=bytes)

    def _get(
        self, path: str, summary: str, look: Callable[[Any, Request], Answer], query: type[Any] | None = None
    ) -> Route:
        async def handler(request: Request) -> Reply:
            if (refused := self._before(request)) is not None:
                return refused
            return await self._desk.look(self._wire, lambda: look(request.query, request))

        return Route(method="GET", path=path, handler=handler, summary=f"Mercado Pago: {summary}", query=query)

    def _before(self, request: Request) -> Reply | None:
        if hmac.compare_digest((request.bearer or "").encode(), self._key.encode()):
            return None
        return Reply(401, bodies.error(401, "unauthorized", "invalid access token"))


def _of_change(body: ChangeBody) -> Operation:
    return "void" if body.status == "cancelled" else "capture"
