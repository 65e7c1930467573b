"""The portal's HTTP interface: what a buyer has bought."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from portal import store
from portal.sale import Sale
from portal.times import time_of
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.postgres import PostgresPool

PAGE_MAX = 100
# `$` would let a line feed pass at the end.
BuyerId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z", description="opaque name of the buyer")]
OrderId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")]


class SalesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    buyer_id: BuyerId
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 50
    after: OrderId | None = None


class TicketBody(msgspec.Struct, frozen=True, kw_only=True):
    ticket_id: str
    tier: str
    label: str
    voided: Annotated[bool, Meta(description="it admits nobody any more")]


class HistoryBody(msgspec.Struct, frozen=True, kw_only=True):
    """``code``: the kind of the event, such as payment.authorized."""

    at: str
    code: str
    reason: str | None


class SaleBody(msgspec.Struct, frozen=True, kw_only=True):
    """A sale as far as its events have arrived; what is not known yet is null. Tickets are void, and stay so, from the
    moment a refund is decided; the state follows when the money has gone back."""

    order_id: str
    event_id: str | None
    event_name: str | None
    buyer_id: str | None
    state: Annotated[
        str,
        Meta(
            description="PENDING: waits for a payment; PAYING: the money is set aside; CONFIRMED; FAILED: no sale, no"
            " money kept; PARTIALLY_REFUNDED; REFUNDED: nothing is kept and no ticket is good"
        ),
    ]
    reason: Annotated[str | None, Meta(description="why it FAILED")]
    total_minor: int | None
    currency: str | None
    refunded_minor: Annotated[int, Meta(description="what has gone back so far, in minor units")]
    moved: Annotated[bool, Meta(description="the money came late: other places of the same tier than those chosen")]
    expires_at: Annotated[str | None, Meta(description="until when a payment may be started")]
    tickets: list[TicketBody]
    updated_at: str
    history: list[HistoryBody]


class SalesBody(msgspec.Struct, frozen=True, kw_only=True):
    """``next``: give it as ``after`` for the next page; null on the last one."""

    items: list[SaleBody]
    next: str | None


class Api:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/api/v1/sales",
                handler=self.sales,
                summary="A buyer's sales, newest first",
                query=SalesQuery,
                response=SalesBody,
                problems=("bad_query", "store_unavailable"),
                tags=("sales",),
            ),
            Route(
                method="GET",
                path="/api/v1/sales/{order_id}",
                handler=self.sale,
                summary="One sale",
                response=SaleBody,
                problems=("sale_unknown", "store_unavailable"),
                tags=("sales",),
            ),
        ]

    async def sales(self, request: Request) -> Reply:
        query: SalesQuery = request.query
        async with self._pool.acquire() as conn:
            found = await store.sales_of(conn, query.buyer_id, after=query.after, limit=query.limit + 1)
        return Reply(200, _page(found, query.limit))

    async def sale(self, request: Request) -> Reply:
        async with self._pool.acquire() as conn:
            found = await store.sale(conn, request.path["order_id"])
        if found is None:
            raise Problem(404, "sale_unknown", "no event of a sale with this id has arrived here")
        return Reply(200, body_of(found))


def _page(found: Sequence[Sale], limit: int) -> SalesBody:
    """One more than asked for was read: it says whether there is a next page."""
    items = [body_of(sale) for sale in found[:limit]]
    return SalesBody(items=items, next=items[-1].order_id if len(found) > limit else None)


def body_of(sale: Sale) -> SaleBody:
    return SaleBody(
        order_id=sale.order_id,
        event_id=sale.event_id,
        event_name=sale.event_name,
        buyer_id=sale.buyer_id,
        state=sale.state,
        reason=sale.reason if sale.state == "FAILED" else None,
        total_minor=sale.total_minor,
        currency=sale.currency,
        refunded_minor=sale.refunded_minor,
        moved=sale.moved_to is not None,
        expires_at=None if sale.expires_at_us is None else _rfc3339(sale.expires_at_us),
        tickets=[
            TicketBody(
                ticket_id=ticket.ticket_id, tier=ticket.tier, label=ticket.label, voided=ticket.ticket_id in sale.voided
            )
            for ticket in sale.tickets.values()
        ],
        updated_at=_rfc3339(sale.updated_at_us),
        history=[
            HistoryBody(at=_rfc3339(entry.at_us), code=entry.code, reason=entry.reason)
            for entry in sale.history.values()
        ],
    )


def _rfc3339(us: int) -> str:
    return time_of(us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
