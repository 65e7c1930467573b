"""The payment provider's HTTP API.

Cards: ``tok_ok`` pays; ``tok_declined`` and ``tok_insufficient`` are declined, and so is every token not named here;
``tok_slow`` pays after 6 s; ``tok_timeout_after_charge`` pays and never answers (a repeat of the same request is
answered); ``tok_error`` gets 500, nothing done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sandbox.accounts import Accounts, Answer, Refused
from sandbox.faults import Fault, Faults, Operation
from sandbox.shapes import (
    AmountBody,
    AuthorizationList,
    AuthorizationReply,
    AuthorizeBody,
    FaultList,
    Totals,
    VoidBody,
    Wanted,
)
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.log import get_logger

SLOW_S = 6.0  # longer than any client here waits
SILENCE_S = 60.0  # "never answers": by then every client has gone

CARD_FAULTS: Mapping[str, Fault] = {
    "tok_slow": Fault(operation="authorize", kind="delay", delay_s=SLOW_S),
    "tok_timeout_after_charge": Fault(operation="authorize", kind="timeout_after"),
    "tok_error": Fault(operation="authorize", kind="error"),
}

T = TypeVar("T")
log = get_logger("provider")


class PaymentProvider:
    """Every blocking call of ``accounts`` runs on one thread, in turn; the loop never waits for the disk."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._faults = Faults()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="accounts")

    async def close(self) -> None:
        await self._blocking(self._accounts.close)
        self._thread.shutdown()

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
        fault = self._faults.strike("authorize") or await self._card_fault(body.card_token, request.idempotency_key)
        change = self._once(
            request,
            lambda: self._accounts.authorize(body.reference, body.amount_minor, body.currency, body.card_token),
        )
        return await self._suffering(fault, change)

    async def capture(self, request: Request) -> Reply:
        act = self._accounts.capture
        return await self._act(
            "capture", request, lambda: act(request.path["authorization"], request.body.amount_minor)
        )

    async def void(self, request: Request) -> Reply:
        return await self._act("void", request, lambda: self._accounts.void(request.path["authorization"]))

    async def refund(self, request: Request) -> Reply:
        act = self._accounts.refund
        return await self._act("refund", request, lambda: act(request.path["authorization"], request.body.amount_minor))

    async def read(self, request: Request) -> Reply:
        fault = self._faults.strike("fetch")
        identifier = request.path["authorization"]
        return await self._suffering(fault, lambda: Answer(200, self._accounts.read(identifier)))

    async def find(self, request: Request) -> Reply:
        wanted: Wanted = request.query
        reference = wanted.reference
        if reference is None:  # the books are for who audits: no fault was ever planned for him
            page = await self._blocking(lambda: self._accounts.page(wanted.since_us, wanted.after or "", wanted.limit))
            return Reply(200, {"items": page})
        fault = self._faults.strike("fetch")
        return await self._suffering(fault, lambda: Answer(200, {"items": self._accounts.by_reference(reference)}))

    async def totals(self, _request: Request) -> Reply:
        return Reply(200, await self._blocking(self._accounts.totals))

    async def plan_fault(self, request: Request) -> Reply:
        if not self._faults.add(request.body):
            raise Problem(409, "too_many_faults", f"at most {Faults.faults_max} faults can be planned")
        return Reply(201, request.body)

    async def list_faults(self, _request: Request) -> Reply:
        return Reply(200, FaultList(items=self._faults.planned))

    async def clear_faults(self, _request: Request) -> Reply:
        self._faults.clear()
        return Reply(204)

    async def _act(self, operation: Operation, request: Request, change: Callable[[], Answer]) -> Reply:
        return await self._suffering(self._faults.strike(operation), self._once(request, change))

    def _once(self, request: Request, change: Callable[[], Answer]) -> Callable[[], Answer]:
        return lambda: self._accounts.once(request.idempotency_key, request.fingerprint, change)

    async def _suffering(self, fault: Fault | None, step: Callable[[], Answer]) -> Reply:
        """``step``'s answer, after whatever goes wrong on the way to it and back."""
        kind = fault.kind if fault is not None else None
        if fault is not None:
            log.info("fault", operation=fault.operation, kind=kind)
        if kind == "error":
            raise Problem(500, "fault", "an error was asked for; nothing was done")
        if kind == "drop":
            raise asyncio.CancelledError  # the server then closes the connection without an answer
        if fault is not None and kind == "delay":
            await asyncio.sleep(fault.delay_s)
        try:
            answer = await self._blocking(step)
        except Refused as refused:
            raise Problem(refused.status, refused.code, refused.detail) from refused
        if kind == "timeout_after":
            await asyncio.sleep(SILENCE_S)
        if kind == "drop_after":
            raise asyncio.CancelledError
        return Reply(answer.status, answer.body)

    async def _card_fault(self, card_token: str, key: str) -> Fault | None:
        """A card that is charged without an answer does it to the first request only: a repeat is answered."""
        fault = CARD_FAULTS.get(card_token)
        if fault is None or fault.kind != "timeout_after":
            return fault
        return None if await self._blocking(lambda: self._accounts.knows(key)) else fault

    async def _blocking(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


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
