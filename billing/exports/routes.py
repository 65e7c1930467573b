"""Orders, payments, refunds and ledger as CSV, for whoever has the admin key: read and sent page by page."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from billing.exports.csv_text import csv_bytes
from billing.store import exports
from billing.store.exports import Page
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.mariadb import Connection, MariaDBPool
from ticketflow.runtime.retry import retrying

MEDIA = "text/csv"
AT_ONCE_MAX = 4  # in one process, beside its buyers: each keeps a connection busy while a page is read

Read = Callable[[Connection, str | int | None], Awaitable[Page]]


class Exports:
    def __init__(self, pool: MariaDBPool) -> None:
        self._pool = pool
        self._under_way = 0

    def routes(self) -> list[Route]:
        return [
            self._route("{event_id}/orders.csv", self._orders, "The orders of an event"),
            self._route("{event_id}/payments.csv", self._payments, "The payments for an event"),
            self._route("{event_id}/refunds.csv", self._refunds, "The refunds of an event"),
            self._route("{event_id}/ledger.csv", self._ledger, "What the ledger says of an event, line by line"),
            self._route("ledger.csv", self._whole_ledger, "The whole ledger, line by line"),
        ]

    @staticmethod
    def _route(path: str, handler: Callable[[Request], Awaitable[Reply]], summary: str) -> Route:
        return Route(
            method="GET",
            path=f"/api/v1/admin/exports/{path}",
            handler=handler,
            summary=f"{summary}; amounts in minor units beside their currency",
            media=MEDIA,
            problems=("unauthorized", "exports_busy"),
            admin=True,
            tags=("exports",),
        )

    async def _orders(self, request: Request) -> Reply:
        event_id = request.path["event_id"]
        return self._reply(
            f"orders-{event_id}", exports.ORDERS, lambda conn, after: exports.orders(conn, event_id, after)
        )

    async def _payments(self, request: Request) -> Reply:
        event_id = request.path["event_id"]
        return self._reply(
            f"payments-{event_id}", exports.PAYMENTS, lambda conn, after: exports.payments(conn, event_id, after)
        )

    async def _refunds(self, request: Request) -> Reply:
        event_id = request.path["event_id"]
        return self._reply(
            f"refunds-{event_id}", exports.REFUNDS, lambda conn, after: exports.refunds(conn, event_id, after)
        )

    async def _ledger(self, request: Request) -> Reply:
        event_id = request.path["event_id"]
        return self._reply(
            f"ledger-{event_id}", exports.LEDGER, lambda conn, after: exports.ledger(conn, event_id, after)
        )

    async def _whole_ledger(self, _request: Request) -> Reply:
        return self._reply("ledger", exports.LEDGER, lambda conn, after: exports.ledger(conn, None, after))

    def _reply(self, name: str, columns: Sequence[str], read: Read) -> Reply:
        headers = {
            "Content-Type": f"{MEDIA}; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return Reply(200, self._text(columns, read), headers)

    async def _text(self, columns: Sequence[str], read: Read) -> AsyncGenerator[bytes, None]:
        if self._under_way >= AT_ONCE_MAX:
            raise Problem(429, "exports_busy", f"{AT_ONCE_MAX} exports are under way already", retry_after_s=10)
        self._under_way += 1
        try:
            page = await self._page(read, None)
            yield csv_bytes([columns, *page.rows])
            while page.last is not None:
                after = page.last
                page = await retrying(lambda after=after: self._page(read, after), on=(Unavailable,))  # type: ignore[misc]
                if page.rows:
                    yield csv_bytes(page.rows)
        finally:
            self._under_way -= 1

    async def _page(self, read: Read, after: str | int | None) -> Page:
        async with self._pool.acquire() as conn:
            return await read(conn, after)
