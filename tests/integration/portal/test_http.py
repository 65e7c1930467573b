"""What buyers ask, and what /readyz says."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from stack.servers.postgres import PostgresServer
from tests.integration.portal.conftest import Portal
from tests.integration.portal.serving import TOKEN_KEYS, Client, serving
from tests.support.databases import Database
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from ticketflow.events import new_id
from ticketflow.runtime.settings import Secret


@pytest.fixture
async def client(migrated: Database, rabbitmq_vhost: str) -> AsyncIterator[Client]:
    keys = tuple(map(Secret, TOKEN_KEYS))
    async with serving(migrated, rabbitmq_vhost, hold_token_keys=keys) as client:
        yield client


@pytest.fixture
async def publisher(migrated: Database, rabbitmq_vhost: str) -> AsyncIterator[Portal]:
    """Only its publishing is used here."""
    portal = Portal(migrated.dsn, rabbitmq_vhost)
    yield portal
    await portal.close()


async def bought(publisher: Portal, client: Client, *sales: SaleEvents) -> None:
    await publisher.publish(*[event for sale in sales for event in sale.sold()])

    async def all_confirmed() -> bool:
        answers = [await client.get(f"/api/v1/sales/{sale.order_id}") for sale in sales]
        return all(status == 200 and body["state"] == "CONFIRMED" for status, body in answers)

    await wait_until(all_confirmed, 15)


async def test_a_sale_as_its_buyer_sees_it(client: Client, publisher: Portal) -> None:
    sale = SaleEvents()
    await bought(publisher, client, sale)

    status, body = await client.get(f"/api/v1/sales/{sale.order_id}")

    assert status == 200
    assert body == {
        "order_id": sale.order_id,
        "event_id": sale.event_id,
        "event_name": "Aida",
        "buyer_id": "ann",
        "state": "CONFIRMED",
        "reason": None,
        "total_minor": 2500,
        "currency": "EUR",
        "refunded_minor": 0,
        "moved": False,
        "expires_at": "2026-11-18T11:11:40.000000Z",
        "tickets": [
            {"ticket_id": ticket.ticket_id, "tier": "stalls", "label": ticket.label, "voided": False}
            for ticket in sale.tickets
        ],
        "updated_at": "2026-11-18T11:06:44.000000Z",
        "history": [
            {"at": "2026-11-18T11:06:41.000000Z", "code": "order.pending", "reason": None},
            {"at": "2026-11-18T11:06:42.000000Z", "code": "payment.authorized", "reason": None},
            {"at": "2026-11-18T11:06:43.000000Z", "code": "ticket.issued", "reason": None},
            {"at": "2026-11-18T11:06:44.000000Z", "code": "order.confirmed", "reason": None},
        ],
    }
    assert (await client.get("/api/v1/sales", {"buyer_id": "ann"})) == (200, {"items": [body], "next": None})


async def test_a_buyers_sales_page_by_page_newest_first(client: Client, publisher: Portal) -> None:
    sales = [SaleEvents("ann") for _ in range(5)]
    await bought(publisher, client, *sales, SaleEvents("bob"))
    found, after = [], None
    while True:
        query = {"buyer_id": "ann", "limit": 2} | ({"after": after} if after else {})
        status, body = await client.get("/api/v1/sales", query)
        assert status == 200
        assert len(body["items"]) <= 2
        found += [item["order_id"] for item in body["items"]]
        after = body["next"]
        if after is None:
            break

    assert found == [sale.order_id for sale in reversed(sales)]
    _, exact = await client.get("/api/v1/sales", {"buyer_id": "ann", "limit": 5})
    assert (len(exact["items"]), exact["next"]) == (5, None), "a full last page is the last"


async def test_a_sale_whose_beginning_has_not_come_yet(client: Client, publisher: Portal) -> None:
    sale = SaleEvents()
    await publisher.publish(sale.failed())

    async def there() -> bool:
        return (await client.get(f"/api/v1/sales/{sale.order_id}"))[0] == 200

    await wait_until(there)
    _, body = await client.get(f"/api/v1/sales/{sale.order_id}")
    assert (body["state"], body["reason"], body["event_name"], body["buyer_id"]) == ("FAILED", "expired", None, None)


async def test_somebody_who_bought_nothing(client: Client) -> None:
    assert await client.get("/api/v1/sales", {"buyer_id": "nobody"}) == (200, {"items": [], "next": None})


BAD_QUERIES: list[Mapping[str, Any]] = [
    {},
    {"buyer_id": ""},
    {"buyer_id": "x" * 65},
    {"buyer_id": "a b"},
    {"buyer_id": "ann\n"},
    {"buyer_id": "ünn"},
    {"buyer_id": "ann'--"},
    {"buyer_id": "ann", "limit": 0},
    {"buyer_id": "ann", "limit": 101},
    {"buyer_id": "ann", "limit": -1},
    {"buyer_id": "ann", "limit": "many"},
    {"buyer_id": "ann", "after": "42"},
    {"buyer_id": "ann", "after": new_id().upper()},
    {"buyer_id": "ann", "page": 2},
]


async def test_a_query_that_makes_no_sense_is_refused_with_a_reason(client: Client) -> None:
    for query in BAD_QUERIES:
        status, body = await client.get("/api/v1/sales", query)

        assert (status, body["code"]) == (422, "bad_query"), query
        assert body["detail"]
        assert body["correlation_id"] == client.headers["X-Correlation-Id"]


async def test_ids_that_are_none_and_sales_that_are_not(client: Client) -> None:
    status, body = await client.get("/api/v1/sales/42")
    assert (status, body["code"]) == (400, "bad_path_id")
    status, body = await client.get(f"/api/v1/sales/{new_id()}")
    assert (status, body["code"]) == (404, "sale_unknown")


async def test_the_interface_is_described(client: Client) -> None:
    status, document = await client.get("/openapi.json")

    assert status == 200
    assert {"/api/v1/sales", "/api/v1/sales/{order_id}"} <= set(document["paths"])


async def test_the_store_away_is_said_with_503(client: Client, postgres_server: RunningServer[PostgresServer]) -> None:
    await asyncio.to_thread(postgres_server.stop)
    try:
        for path in ("/api/v1/sales?buyer_id=ann", f"/api/v1/sales/{new_id()}"):
            status, body = await client.get(path)
            assert (status, body["code"]) == (503, "store_unavailable")
            assert client.headers["Retry-After"]
        status, body = await client.get("/readyz")
        assert status == 503
        assert "postgres" in body["failing"]
    finally:
        await asyncio.to_thread(postgres_server.start)
    await wait_until(client.ready, 15)
    assert (await client.get("/api/v1/sales", {"buyer_id": "ann"}))[0] == 200
