"""The sale's page, and where mail to a buyer goes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portal.sale_html import POLICY
from stack.servers.postgres import PostgresServer
from tests.integration.portal.conftest import Portal
from tests.integration.portal.serving import TOKEN_KEYS, Client, serving
from tests.integration.sandbox.mail_process import MailProcess
from tests.support.databases import Database
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from ticketflow.events import buyer_token, hold_token, new_id
from ticketflow.runtime.postgres import PostgresPool
from ticketflow.runtime.settings import Secret

KEYS = tuple(map(Secret, TOKEN_KEYS))


@pytest.fixture
async def client(migrated: Database, rabbitmq_vhost: str) -> AsyncIterator[Client]:
    async with serving(migrated, rabbitmq_vhost, hold_token_keys=KEYS) as client:
        yield client


@pytest.fixture
async def publisher(migrated: Database, rabbitmq_vhost: str) -> AsyncIterator[Portal]:
    """Only its publishing is used here."""
    portal = Portal(migrated.dsn, rabbitmq_vhost)
    yield portal
    await portal.close()


def token(buyer_id: str = "ann", keys: tuple[str, ...] = TOKEN_KEYS) -> dict[str, str]:
    return {"X-Buyer-Token": buyer_token.issue(keys, buyer_id)}


async def test_a_buyer_follows_the_sale_on_its_page(client: Client, publisher: Portal) -> None:
    sale, refund_id = SaleEvents(), new_id()
    path = f"/sales/{sale.order_id}"
    status, page = await client.page(path)
    assert (status, "We do not know this order" in page) == (404, True)

    async def says(headline: str) -> bool:
        status, page = await client.page(path)
        return status == 200 and f"<h1>{headline}</h1>" in page

    pending, authorized, issued, confirmed = sale.sold()
    for event, headline in (
        (pending, "The time to pay is over"),  # these events are not of today
        (authorized, "Your payment is being completed"),
        (issued, "Your payment is being completed"),
        (confirmed, "Here are your tickets"),
        (sale.tickets_voided(refund_id), "Your tickets are void"),
        (sale.refunded(refund_id, 2500, 2500), "Your order was refunded"),
    ):
        await publisher.publish(event)
        await wait_until(lambda headline=headline: says(headline))  # type: ignore[misc]
    assert client.headers["Content-Type"] == "text/html; charset=utf-8"
    assert client.headers["Content-Security-Policy"] == POLICY
    assert client.headers["X-Content-Type-Options"] == "nosniff"
    assert client.headers["Referrer-Policy"] == "no-referrer"
    assert client.headers["Cache-Control"] == "no-store"
    status, body = await client.get(f"/api/v1/sales/{sale.order_id}")
    assert (body["state"], body["refunded_minor"], body["moved"]) == ("REFUNDED", 2500, False)
    assert [ticket["voided"] for ticket in body["tickets"]] == [True, True]


@pytest.mark.parametrize(
    "order_id", ["42", "x" * 3000, "%3Cscript%3E", "..%2f", "%ff", "01A1FF88-BABA-758F-B047-EE8DBFA92E76"]
)
async def test_an_address_of_no_order_is_a_page_too(client: Client, order_id: str) -> None:
    status, page = await client.page(f"/sales/{order_id}")

    assert (status, "We do not know this order" in page, "<script" in page) == (404, True, False)
    assert client.headers["Content-Security-Policy"] == POLICY


async def test_only_looking_is_possible(client: Client) -> None:
    assert (await client.page(f"/sales/{new_id()}", "HEAD")) == (404, "")
    assert (await client.page(f"/sales/{new_id()}", "POST"))[0] == 405


async def test_the_store_away_is_a_page_that_looks_again(
    client: Client, postgres_server: RunningServer[PostgresServer]
) -> None:
    await asyncio.to_thread(postgres_server.stop)
    try:
        status, page = await client.page(f"/sales/{new_id()}")
    finally:
        await asyncio.to_thread(postgres_server.start)
    assert (status, "In a moment" in page, 'http-equiv="refresh"' in page) == (503, True, True)
    assert client.headers["Retry-After"] == "5"
    await wait_until(client.ready)


async def test_a_buyer_says_where_his_mail_goes(client: Client, migrated: Database) -> None:
    path = "/api/v1/buyers/ann/contact"
    pool = PostgresPool(migrated.dsn, name="test", size_max=1)
    await pool.open()

    async def email() -> object:
        async with pool.acquire() as conn:
            return await conn.fetchval("SELECT email FROM contacts WHERE buyer_id = 'ann'")

    assert await client.send("PUT", path, {"email": "ann@example.org"}, token()) == (204, None)
    assert await email() == "ann@example.org"
    old = token(keys=("old-key",))
    assert await client.send("PUT", path, {"email": "ann@example.com"}, old) == (204, None)
    assert await email() == "ann@example.com"
    for _ in range(2):
        assert await client.send("DELETE", path, None, token()) == (204, None)
    assert await email() is None
    await pool.close()


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("ann", {}, 401, "buyer_token_missing"),
        ("ann", {"X-Buyer-Token": "x"}, 403, "buyer_token_wrong"),
        ("ann", {"X-Buyer-Token": ""}, 403, "buyer_token_wrong"),
        ("ann", {"X-Buyer-Token": hold_token.issue(TOKEN_KEYS, "ann")}, 403, "buyer_token_wrong"),
        ("ann", token("bob"), 403, "buyer_token_wrong"),
        ("ann", token(keys=("other-key",)), 403, "buyer_token_wrong"),
        ("x" * 65, token("x" * 65), 403, "buyer_token_wrong"),
    ],
)
async def test_nobody_says_it_for_another(
    client: Client, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    for method, body in (("PUT", {"email": "bob@example.org"}), ("DELETE", None)):
        found, problem = await client.send(method, f"/api/v1/buyers/{path}/contact", body, headers)

        assert (found, problem["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"email": "ann"}, "email_invalid"),
        ({"email": "ann@example.org\r\nBcc: bob@example.org"}, "email_invalid"),
        ({"email": "a@" + "x" * 300}, "bad_body"),
        ({"email": None}, "bad_body"),
        ({}, "bad_body"),
        ({"email": "ann@example.org", "name": "Ann"}, "bad_body"),
    ],
)
async def test_what_is_no_address_is_refused(client: Client, body: object, code: str) -> None:
    status, problem = await client.send("PUT", "/api/v1/buyers/ann/contact", body, token())

    assert (status, problem["code"]) == (422, code)


async def test_without_keys_nobody_can_be_believed(migrated: Database, rabbitmq_vhost: str) -> None:
    async with serving(migrated, rabbitmq_vhost) as client:
        status, problem = await client.send("PUT", "/api/v1/buyers/ann/contact", {"email": "ann@example.org"}, token())
        assert (status, problem["code"]) == (503, "buyer_tokens_off")


async def test_the_service_sends_what_it_decides(
    migrated: Database, rabbitmq_vhost: str, publisher: Portal, tmp_path: Path
) -> None:
    server = MailProcess(tmp_path)
    server.start()
    await server.ready()
    settings = {
        "hold_token_keys": KEYS,
        "smtp_url": Secret(server.smtp_url),
        "mail_from": "tickets@example.org",
        "public_url": "https://tickets.example.org/",
    }
    try:
        async with serving(migrated, rabbitmq_vhost, **settings) as client:
            body = {"email": "ann@example.org"}
            assert (await client.send("PUT", "/api/v1/buyers/ann/contact", body, token()))[0] == 204
            sale = SaleEvents(now=True)
            await publisher.publish(*sale.sold())
            await wait_until(lambda: server.mails("ann@example.org"))
            [mail] = await server.mails("ann@example.org")
            assert f"https://tickets.example.org/sales/{sale.order_id}" in mail["text"]
    finally:
        server.kill()
