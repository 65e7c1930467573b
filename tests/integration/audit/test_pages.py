"""One page of sales after the other: none is missed, and none costs more for all that stand behind it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from audit.money import read_portal, read_reservation
from audit.money.limits import PAGE, Limits
from audit.money.looking import Looking
from audit.money.read_provider import Asking
from audit.money.stores import open_stores
from tests.integration.audit.town import Databases, Town
from ticketflow.events import new_id
from ticketflow.runtime.postgres import PostgresPool

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


class Asked:
    """What would be asked of a connection."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, statement: str, *args: Any) -> list[Any]:
        self.asked.append((statement, args))
        return []


async def plan(pool: PostgresPool, ask: Callable[[Any], Awaitable[Any]]) -> str:
    """As it is for a large table: of a small one it is cheapest to read and sort all."""
    recorder = Asked()
    await ask(recorder)
    statement, args = recorder.asked[0]
    async with pool.transaction() as conn:
        for way in ("seqscan", "bitmapscan"):
            await conn.execute(f"SET LOCAL enable_{way} = off")
        return "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {statement}", *args))


async def test_the_next_ids_are_read_from_an_index_and_not_sorted_out_of_all(town: Town) -> None:
    told = [
        await plan(town.reservation, lambda conn: read_reservation.ids_after(conn, new_id(), PAGE, None)),
        await plan(town.portal, lambda conn: read_portal.ids_after(conn, new_id(), PAGE, None)),
    ]
    assert "Sort" not in "".join(told), told


async def test_places_are_found_by_their_keys(town: Town) -> None:
    told = await plan(town.reservation, lambda conn: read_reservation.holds(conn, [new_id() for _ in range(PAGE)]))
    assert "Merge Join" not in told, told
    assert "Hash Join" not in told, told
