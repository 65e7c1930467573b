"""Stripe's API over the accounts: customers, PaymentIntents, refunds, Checkout sessions.

Bodies are forms, errors are of Stripe's shape and kept under their key, as is a 500; a repeat says so in
``Idempotent-Replayed``. An unknown parameter is refused, as Stripe does: so what a client sends must be in the public
reference. The search is behind by ``search_lag_s``; lists are not.
"""

import hmac
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import msgspec

from sandbox import stripe_bodies as bodies
from sandbox.accounts import Answer, Refused
from sandbox.announcements import Announcements
from sandbox.checkouts import Checkouts
from sandbox.desk import Desk
from sandbox.faults import Operation
from sandbox.pages import page_url
from sandbox.stripe_forms import CAPTURE, CHECKOUT, CREATE, CUSTOMER, REFUND, VOID, BadForm, Form
from ticketflow.runtime.http import Reply, Request, Route

ROOT = "/stripe/v1"
SEARCH = "metadata['reference']:'"


class Query(msgspec.Struct, kw_only=True, rename={"expand": "expand[]"}):
    customer: str | None = None
    payment_intent: str | None = None
    query: str | None = None
    limit: int = 10
    expand: str = ""


class StripeWire:
    name = "stripe"
    keeps_errors = True

    def failure(self, status: int) -> Answer:
        return Answer(status, bodies.failure(status))

    def refusal(self, refused: Refused) -> Answer:
        return Answer(*bodies.refusal(refused))

    def reply(self, answer: Answer) -> Reply:
        return Reply(answer.status, answer.body, {"Idempotent-Replayed": "true"} if answer.replayed else {})


class StripeApi:
    def __init__(
        self, desk: Desk, checkouts: Checkouts, announcements: Announcements, key: str, *, search_lag_s: int
    ) -> None:
        self._desk = desk
        self._accounts = desk.accounts
        self._checkouts = checkouts
        self._announcements = announcements
        self._key = key
        self._search_lag_s = search_lag_s
        self._wire = StripeWire()

    def routes(self) -> list[Route]:
        intents = f"{ROOT}/payment_intents"
        one = intents + "/{intent}"
        return [
            self._post(f"{ROOT}/customers", "Make a customer", "fetch", CUSTOMER, self._customer),
            self._post(intents, "Make and confirm a PaymentIntent", "authorize", CREATE, self._create),
            self._post(f"{one}/capture", "Capture it", "capture", CAPTURE, self._capture),
            self._post(f"{one}/cancel", "Cancel it", "void", VOID, self._cancel),
            self._post(f"{ROOT}/refunds", "Refund it", "refund", REFUND, self._refund),
            self._post(f"{ROOT}/checkout/sessions", "A page where a buyer pays", "begin", CHECKOUT, self._session),
            self._get(intents, "PaymentIntents of a customer", self._list),
            self._get(f"{intents}/search", "PaymentIntents by metadata", self._search),
            self._get(one, "One PaymentIntent", self._read),
            self._get(f"{ROOT}/refunds", "Refunds of a PaymentIntent", self._refunds),
        ]

    def _customer(self, form: Form, _request: Request) -> Answer:
        customer = self._checkouts.add_customer(form.reference)
        return Answer(200, {"id": customer, "object": "customer", "metadata": {"reference": form.reference}})

    def _create(self, form: Form, _request: Request) -> Answer:
        currency = form.currency("currency")
        if customer := form.get("customer"):
            self._checkouts.customer_reference(customer)
        amount = bodies.from_stripe(form.amount("amount"), currency)
        made = self._accounts.authorize(form.reference, amount, currency, form.card).body
        self._announcements.tell(self._wire.name, made["authorization_id"])
        intent = bodies.intent(made, expanded=form.expands("latest_charge"))
        if made["state"] != "declined":
            return Answer(200, intent)
        error = {**bodies.card_error(made["reason"]), "payment_intent": intent}
        return Answer(402, {"error": error})

    def _capture(self, form: Form, request: Request) -> Answer:
        one = bodies.authorization_id(request.path["intent"])
        held = self._accounts.read(one)
        amount = held["amount_minor"]
        if form.get("amount_to_capture"):
            amount = bodies.from_stripe(form.amount("amount_to_capture"), held["currency"])
        return self._changed(self._accounts.capture(one, amount), form)

    def _cancel(self, form: Form, request: Request) -> Answer:
        one = bodies.authorization_id(request.path["intent"])
        state = self._accounts.read(one)["state"]
        if state != "authorized":  # also what is cancelled: Stripe does not take it twice
            raise Refused(409, f"authorization_{state}", f"You cannot cancel this PaymentIntent: it is {state}.")
        return self._changed(self._accounts.void(one), form)

    def _refund(self, form: Form, _request: Request) -> Answer:
        one = bodies.authorization_id(form.require("payment_intent"))
        held = self._accounts.read(one)
        left = held["captured_minor"] - held["refunded_minor"]
        amount = bodies.from_stripe(form.amount("amount"), held["currency"]) if form.get("amount") else left
        held = self._accounts.refund(one, amount, form.get("metadata[key]")).body
        self._announcements.tell(self._wire.name, one)
        expanded = form.expands("payment_intent.latest_charge")
        return Answer(200, bodies.refund(self._accounts.refunds(one)[-1], held, expanded=expanded))

    def _session(self, form: Form, request: Request) -> Answer:
        price = "line_items[0][price_data]"
        currency = form.currency(f"{price}[currency]")
        expires_at = form.amount("expires_at")
        if not 1_800 <= expires_at - time.time() <= 86_400:
            raise BadForm("expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from now.")
        made = self._checkouts.add(
            self._wire.name,
            form.require("payment_intent_data[metadata][reference]"),
            bodies.from_stripe(form.amount(f"{price}[unit_amount]"), currency),
            currency,
            captures=form.get("payment_intent_data[capture_method]") != "manual",
            expires_at_us=expires_at * 1_000_000,
            return_url=form.require("success_url"),
        )
        body = {
            "id": f"cs_test_{made.checkout_id}",
            "object": "checkout.session",
            "client_reference_id": form.get("client_reference_id"),
            "expires_at": expires_at,
            "mode": "payment",
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "url": page_url(request, made.checkout_id),
        }
        return Answer(200, body)

    def _list(self, query: Query, _request: Request) -> Answer:
        reference = self._checkouts.customer_reference(query.customer or "")
        found = self._accounts.by_reference(reference)[::-1][: query.limit]
        expanded = query.expand == "data.latest_charge"
        return Answer(
            200, bodies.listed("/v1/payment_intents", [bodies.intent(one, expanded=expanded) for one in found])
        )

    def _search(self, query: Query, _request: Request) -> Answer:
        text = query.query or ""
        if not (text.startswith(SEARCH) and text.endswith("'")):
            raise BadForm("query", "We were unable to parse your search query.")
        before_us = time.time_ns() // 1000 - self._search_lag_s * 1_000_000
        found = self._accounts.by_reference(text[len(SEARCH) : -1])[::-1]
        data = [bodies.intent(one) for one in found if one["created_at_us"] <= before_us]
        return Answer(200, bodies.listed("/v1/payment_intents/search", data) | {"object": "search_result"})

    def _read(self, query: Query, request: Request) -> Answer:
        held = self._accounts.read(bodies.authorization_id(request.path["intent"]))
        return Answer(200, bodies.intent(held, expanded=query.expand == "latest_charge"))

    def _refunds(self, query: Query, _request: Request) -> Answer:
        held = self._accounts.read(bodies.authorization_id(query.payment_intent or ""))
        made = self._accounts.refunds(held["authorization_id"])[::-1][: query.limit]
        return Answer(200, bodies.listed("/v1/refunds", [bodies.refund(one, held) for one in made]))

    def _changed(self, answer: Answer, form: Form) -> Answer:
        self._announcements.tell(self._wire.name, answer.body["authorization_id"])
        return Answer(200, bodies.intent(answer.body, expanded=form.expands("latest_charge")))

    def _post(
        self,
        path: str,
        summary: str,
        operation: Operation,
        allowed: frozenset[str],
        act: Callable[[Form, Request], Answer],
    ) -> Route:
        async def handler(request: Request) -> Reply:
            if (stranger := self._stranger(request)) is not None:
                return stranger
            try:
                form = Form(_fields(request.body), allowed)
                key = request.headers.get("Idempotency-Key") or f"none {time.time_ns()}"
                change = lambda: act(form, request)  # noqa: E731
                return await self._desk.change(
                    self._wire, operation, key, request.fingerprint, change, card_token=form.maybe_card
                )
            except BadForm as bad:
                return self._bad(bad)

        return Route(method="POST", path=path, handler=handler, summary=f"Stripe: {summary}", body=bytes)

    def _get(self, path: str, summary: str, look: Callable[[Query, Request], Answer]) -> Route:
        async def handler(request: Request) -> Reply:
            if (stranger := self._stranger(request)) is not None:
                return stranger
            try:
                return await self._desk.look(self._wire, lambda: look(request.query, request))
            except BadForm as bad:
                return self._bad(bad)

        return Route(method="GET", path=path, handler=handler, summary=f"Stripe: {summary}", query=Query)

    def _stranger(self, request: Request) -> Reply | None:
        if hmac.compare_digest((request.bearer or "").encode(), self._key.encode()):
            return None
        return Reply(401, bodies.error("invalid_request_error", "Invalid API Key provided"))

    def _bad(self, bad: BadForm) -> Reply:
        return Reply(400, bodies.error("invalid_request_error", str(bad), bad.code, param=bad.param))


def _fields(body: bytes) -> Mapping[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100))
