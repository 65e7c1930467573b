"""The payment provider's HTTP API.

Cards: ``tok_ok`` pays; ``tok_declined`` and ``tok_insufficient`` are declined, and so is every token not named here;
``tok_slow`` pays after 6 s; ``tok_timeout_after_charge`` pays and never answers (a repeat of the same request is
answered); ``tok_error`` gets 500, nothing done.
"""

import time
from collections.abc import Awaitable, Callable

from sandbox.accounts import Answer, Refused
from sandbox.announcements import Announcements
from sandbox.books import Books
from sandbox.checkouts import Checkouts
from sandbox.desk import Desk
from sandbox.faults import Fault, Faults, Operation
from sandbox.pages import page_url
from sandbox.shapes import (
    AmountBody,
    AuthorizationList,
    AuthorizationReply,
    AuthorizeBody,
    CheckoutBody,
    CheckoutReply,
    FaultList,
    Totals,
    VoidBody,
    Wanted,
)
from ticketflow.runtime.http import Problem, Reply, Request, Route


class OwnWire:
    """The sandbox's own way to say things: its refusals are problems, and are not kept."""

    name = ""
    keeps_errors = False

    def failure(self, status: int) -> Answer:
        code = "key_in_use" if status == 409 else "fault"
        raise Problem(status, code, "this was asked for; what was done depends on the fault")

    def refusal(self, refused: Refused) -> Answer:
        raise Problem(refused.status, refused.code, refused.detail) from refused

    def reply(self, answer: Answer) -> Reply:
        return Reply(answer.status, answer.body)


class PaymentProvider:
    """The sandbox's own API over the accounts, and what all wires share: books, faults."""

    def __init__(self, desk: Desk, books: Books, checkouts: Checkouts, announcements: Announcements) -> None:
        self._desk = desk
        self._accounts = desk.accounts
        self._books = books
        self._checkouts = checkouts
        self._announcements = announcements
        self._wire = OwnWire()

    def routes(self) -> list[Route]:
        """All need the bearer key."""
        one = "/v1/authorizations/{authorization}"
        return [
            _route("POST", "/v1/authorizations", self.authorize, "Set money aside", body=AuthorizeBody, status=201),
            _route("POST", f"{one}/capture", self.capture, "Take the money", body=AmountBody),
            _route("POST", f"{one}/void", self.void, "Set the money free", body=VoidBody),
            _route("POST", f"{one}/refund", self.refund, "Give money back", body=AmountBody),
            _route("GET", one, self.read, "One authorization"),
            Route(
                method="POST",
                path="/v1/checkouts",
                handler=self.begin,
                summary="A page where a buyer pays",
                body=CheckoutBody,
                response=CheckoutReply,
                status=201,
                problems=("idempotency_mismatch",),
                admin=True,
                idempotency_key=True,
            ),
            Route(
                method="GET",
                path="/v1/authorizations",
                handler=self.find,
                summary="Authorizations: by the merchant's reference, or the books page by page",
                query=Wanted,
                response=AuthorizationList,
                admin=True,
            ),
            Route(method="GET", path="/v1/totals", handler=self.totals, summary="Sums", response=Totals, admin=True),
            Route(
                method="POST",
                path="/v1/faults",
                handler=self.plan_fault,
                summary="Do something wrong from now on",
                body=Fault,
                response=Fault,
                status=201,
                problems=("too_many_faults",),
                admin=True,
            ),
            Route(
                method="GET",
                path="/v1/faults",
                handler=self.list_faults,
                summary="Faults still planned",
                response=FaultList,
                admin=True,
            ),
            Route(
                method="DELETE",
                path="/v1/faults",
                handler=self.clear_faults,
                summary="Behave from now on",
                status=204,
                admin=True,
            ),
        ]

    async def authorize(self, request: Request) -> Reply:
        body: AuthorizeBody = request.body
        ask = self._accounts.authorize
        change = self._told(lambda: ask(body.reference, body.amount_minor, body.currency, body.card_token))
        return await self._change("authorize", request, change, card_token=body.card_token)

    async def begin(self, request: Request) -> Reply:
        body: CheckoutBody = request.body

        def made() -> Answer:
            expires_at_us = time.time_ns() // 1000 + body.expires_s * 1_000_000
            checkout = self._checkouts.add(
                self._wire.name,
                body.reference,
                body.amount_minor,
                body.currency,
                captures=body.captures_at_once,
                expires_at_us=expires_at_us,
            )
            reply = {"url": page_url(request, checkout.checkout_id), "expires_at_us": expires_at_us}
            return Answer(201, reply | {"captures_at_once": body.captures_at_once})

        return await self._change("begin", request, made)

    async def capture(self, request: Request) -> Reply:
        one, amount = request.path["authorization"], request.body.amount_minor
        return await self._change("capture", request, self._told(lambda: self._accounts.capture(one, amount)))

    async def void(self, request: Request) -> Reply:
        one = request.path["authorization"]
        return await self._change("void", request, self._told(lambda: self._accounts.void(one)))

    async def refund(self, request: Request) -> Reply:
        one, amount = request.path["authorization"], request.body.amount_minor
        return await self._change("refund", request, self._told(lambda: self._accounts.refund(one, amount)))

    async def read(self, request: Request) -> Reply:
        identifier = request.path["authorization"]
        return await self._desk.look(self._wire, lambda: Answer(200, self._accounts.read(identifier)))

    async def find(self, request: Request) -> Reply:
        wanted: Wanted = request.query
        reference = wanted.reference
        if reference is None:  # the books are for who audits: no fault was ever planned for him
            look = lambda: self._books.page(wanted.since_us, wanted.after or "", wanted.limit)  # noqa: E731
            return Reply(200, {"items": await self._desk.blocking(look)})
        return await self._desk.look(self._wire, lambda: Answer(200, {"items": self._accounts.by_reference(reference)}))

    async def totals(self, _request: Request) -> Reply:
        return Reply(200, await self._desk.blocking(self._books.totals))

    async def plan_fault(self, request: Request) -> Reply:
        if not self._desk.faults.add(request.body):
            raise Problem(409, "too_many_faults", f"at most {Faults.faults_max} faults can be planned")
        return Reply(201, request.body)

    async def list_faults(self, _request: Request) -> Reply:
        return Reply(200, FaultList(items=self._desk.faults.planned))

    async def clear_faults(self, _request: Request) -> Reply:
        self._desk.faults.clear()
        return Reply(204)

    async def _change(
        self,
        operation: Operation,
        request: Request,
        change: Callable[[], Answer],
        *,
        card_token: str | None = None,
    ) -> Reply:
        key, fingerprint = request.idempotency_key, request.fingerprint
        return await self._desk.change(self._wire, operation, key, fingerprint, change, card_token=card_token)

    def _told(self, change: Callable[[], Answer]) -> Callable[[], Answer]:
        """``change``, whose answer is an authorization, and the webhook that tells of it."""

        def both() -> Answer:
            answer = change()
            self._announcements.tell(self._wire.name, answer.body["authorization_id"])
            return answer

        return both


def _route(
    method: str,
    path: str,
    handler: Callable[[Request], Awaitable[Reply]],
    summary: str,
    *,
    body: type | None = None,
    status: int = 200,
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,
        summary=summary,
        body=body,
        response=AuthorizationReply,
        status=status,
        problems=() if method == "GET" else ("card_declined", "idempotency_mismatch", "authorization_unknown"),
        admin=True,
        idempotency_key=method == "POST",
    )
