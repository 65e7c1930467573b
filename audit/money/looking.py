"""One page after the other: all sides of some sales, each store's in one snapshot."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from audit.money import read_billing, read_portal, read_reservation
from audit.money.limits import PAGE
from audit.money.read_provider import Asking
from audit.money.sides import Deal
from audit.money.stores import Stores, snapshot
from ticketflow.events import is_id


class Looking:
    """``event_id``: of one event, else of all. ``page``: sales at a time."""

    def __init__(self, stores: Stores, asking: Asking, event_id: str | None, page: int = PAGE) -> None:
        self._stores = stores
        self._asking = asking
        self._event_id = event_id
        self._page = page
        self._knows_refunds: bool | None = None
        self.begun_at = asyncio.get_running_loop().time()  # of the page that was read last

    async def pages(self) -> AsyncIterator[list[Deal]]:
        """All sales that any store knows, by their ids. Raises Unavailable, Indefinite and what the drivers raise."""
        after: str | None = None
        while True:
            ids, after = await self._ids(after)
            if ids:
                yield await self.deals(ids)
            if after is None:
                return

    async def deals(self, ids: Sequence[str]) -> list[Deal]:
        self.begun_at = asyncio.get_running_loop().time()
        uuids = [id_ for id_ in ids if is_id(id_)]  # billing's store takes any text
        async with self._stores.reservation.transaction(snapshot=True) as conn:
            holds = await read_reservation.holds(conn, uuids)
        async with snapshot(self._stores.billing) as billing:
            orders = await read_billing.orders(billing, ids)
        async with self._stores.portal.transaction(snapshot=True) as conn:
            if self._knows_refunds is None:
                self._knows_refunds = await read_portal.knows_refunds(conn)
            sales = await read_portal.sales(conn, uuids, refunds=self._knows_refunds)
        deals = [
            Deal(id_, holds.get(id_), orders.get(id_), sales.get(id_))
            for id_ in ids
            if id_ in holds or id_ in orders or id_ in sales
        ]
        return [Deal(deal.order_id, deal.hold, deal.order, deal.sale, await self._asking.about(deal)) for deal in deals]

    async def _ids(self, after: str | None) -> tuple[list[str], str | None]:
        """The next ones, from all stores; and after which one to go on, None at the end.

        A store that gave a full page may have more behind it: the page ends where the first such store's ends."""
        async with self._stores.reservation.transaction(snapshot=True) as conn:
            found = [await read_reservation.ids_after(conn, after, self._page, self._event_id)]
        async with self._stores.billing.acquire() as billing:
            found.append(await read_billing.ids_after(billing, after, self._page, self._event_id))
        async with self._stores.portal.transaction(snapshot=True) as conn:
            found.append(await read_portal.ids_after(conn, after, self._page, self._event_id))
        upto = min((ids[-1] for ids in found if len(ids) == self._page), default=None)
        ids = sorted({id_ for ids in found for id_ in ids if upto is None or id_ <= upto})
        return ids, upto
