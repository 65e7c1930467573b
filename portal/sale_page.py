"""``GET /sales/{order_id}``: where a sale stands, for its buyer's eyes. Who knows the id may look, as in the API."""

import time

from portal import store
from portal.sale_html import POLICY, message_page, sale_page
from portal.telling import story_of
from ticketflow.events import is_id
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.http import Reply, Request, Route
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import PostgresPool

AGAIN_S = 5  # while the store is away
HTML = "text/html; charset=utf-8"
HEADERS = {
    "Content-Type": HTML,
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address is what protects the page
    "Cache-Control": "no-store",
}

log = get_logger("page")


class SalePage:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/sales/{sale}",  # no `order_id`: what is none is answered by a page, too
                handler=self.show,
                summary="Where a sale stands, as a page for its buyer; 404 and 503 are pages as well",
                media="text/html",
                tags=("sales",),
            )
        ]

    async def show(self, request: Request) -> Reply:
        order_id = request.path["sale"]
        try:
            found = None
            if is_id(order_id):
                async with self._pool.acquire() as conn:
                    found = await store.sale(conn, order_id)
        except Unavailable as fault:
            log.info("store_unavailable", error=str(fault))
            lines = ["We cannot look at your order just now. Nothing is lost; this page looks again by itself."]
            page = message_page("In a moment", lines, again_s=AGAIN_S)
            return Reply(503, page, {**HEADERS, "Retry-After": str(AGAIN_S)})
        if found is None:
            lines = ["There is no order at this address.", "If you have just made it, look again in a moment."]
            return Reply(404, message_page("We do not know this order", lines), HEADERS)
        return Reply(200, sale_page(story_of(found, time.time_ns() // 1000), order_id), HEADERS)
