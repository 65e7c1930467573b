"""How many sales are read at a time is nobody's business but the stores'."""

import pytest

from audit.money.limits import PAGE, Limits
from audit.money.looking import Looking
from audit.money.read_provider import Asking
from audit.money.stores import open_stores
from tests.integration.audit.town import Databases, Town

SALES = 5


@pytest.mark.parametrize("page", [1, 2, SALES, PAGE])
async def test_every_sale_is_seen_once_with_all_its_sides(town: Town, databases: Databases, page: int) -> None:
    sold = [await town.sold(1) for _ in range(SALES)]
    async with open_stores(databases.settings()) as stores:
        looking = Looking(stores, Asking(None, Limits(), "none"), town.event.event_id, page)
        pages = [deals async for deals in looking.pages()]
    seen = [deal for deals in pages for deal in deals]
    assert [deal.order_id for deal in seen] == sorted(sold)
    assert all(deal.hold and deal.order and deal.sale for deal in seen)
    assert len(pages) == -(-SALES // page)
