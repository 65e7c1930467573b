"""The admin API of refunds."""

from billing.refunds.deciding import Ask, Refunds
from billing.refunds.desk import RefundDesk
from billing.refunds.rules import Refusal, Wish
from billing.refunds.shapes import AdminRefundView, RefundBody, RefundList, view_of
from billing.store import refunds
from billing.store.refunds import Refund
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.mariadb import MariaDBPool

REPLAYED = {"Idempotency-Replayed": "true"}

_OF_ORDER = "/api/v1/admin/orders/{order_id}/refunds"
_ONE = "/api/v1/admin/refunds/{refund_id}"


class RefundApi:
    def __init__(self, pool: MariaDBPool, requests: Refunds, desk: RefundDesk) -> None:
        self._pool = pool
        self._requests = requests
        self._desk = desk

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=_OF_ORDER,
                handler=self.request,
                summary="Refund an order, or some of its tickets: they admit nobody any more, the money follows",
                body=RefundBody,
                response=AdminRefundView,
                status=202,
                problems=(
                    "unauthorized",
                    "order_unknown",
                    *Refusal,
                    "refund_in_progress",
                    "idempotency_mismatch",
                ),
                idempotency_key=True,
                admin=True,
                tags=("refunds",),
            ),
            Route(
                method="GET",
                path=_OF_ORDER,
                handler=self.list,
                summary="The refunds of an order",
                response=RefundList,
                problems=("unauthorized", "order_unknown"),
                admin=True,
                tags=("refunds",),
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                summary="One refund",
                response=AdminRefundView,
                problems=("unauthorized", "refund_unknown"),
                admin=True,
                tags=("refunds",),
            ),
            Route(
                method="POST",
                path=f"{_ONE}/retry",
                handler=self.retry,
                summary="Ask the provider again for a refund that it refused",
                response=AdminRefundView,
                status=202,
                problems=("unauthorized", "refund_unknown"),
                admin=True,
                tags=("refunds",),
            ),
            Route(
                method="POST",
                path=f"{_ONE}/as-credits",
                handler=self.as_credits,
                summary="Give credits for a refund that the provider refused",
                response=AdminRefundView,
                problems=(
                    "unauthorized",
                    "refund_unknown",
                    "refund_not_refused",
                    "refund_in_progress",
                    "provider_unavailable",
                ),
                admin=True,
                tags=("refunds",),
            ),
        ]

    async def request(self, request: Request) -> Reply:
        body: RefundBody = request.body
        tickets = None if body.tickets is None else tuple(body.tickets)
        answer, replayed = await self._requests.request(
            Ask(
                order_id=request.path["order_id"],
                key=request.idempotency_key,
                fingerprint=request.fingerprint,
                wish=Wish(tickets, body.amount_minor),
                reason=body.reason,
                seats_back=body.seats_back,
            )
        )
        return Reply(answer.status, answer.body, REPLAYED if replayed else {})

    async def list(self, request: Request) -> Reply:
        order_id = request.path["order_id"]
        async with self._pool.acquire() as conn:
            if not await refunds.order_known(conn, order_id):
                raise Problem(404, "order_unknown", "there is no such order")
            found = await refunds.of_order(conn, order_id)
            tickets = await refunds.voided_by_refund(conn, order_id)
        return Reply(200, RefundList(items=[view_of(one, tickets.get(one.refund_id, ())) for one in found]))

    async def read(self, request: Request) -> Reply:
        async with self._pool.acquire() as conn:
            found = await refunds.read(conn, request.path["refund_id"])
        if found is None:
            raise Problem(404, "refund_unknown", "there is no such refund")
        return Reply(200, await self._view(found))

    async def retry(self, request: Request) -> Reply:
        return Reply(202, await self._view(await self._desk.retry(request.path["refund_id"])))

    async def as_credits(self, request: Request) -> Reply:
        return Reply(200, await self._view(await self._desk.as_credits(request.path["refund_id"])))

    async def _view(self, refund: Refund) -> AdminRefundView:
        async with self._pool.acquire() as conn:
            tickets = await refunds.voided_by_refund(conn, refund.order_id)
        return view_of(refund, tickets.get(refund.refund_id, ()))
