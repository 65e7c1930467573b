"""Orders, payments and ledger of an event as CSV, from a process of billing, however many there are."""

import csv
import io
from collections.abc import AsyncIterator, Container
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from billing.exports.routes import AT_ONCE_MAX, Exports
from billing.ledger import causes
from billing.settings import DatabaseSettings
from billing.store import exports
from stack.servers.mariadb import MariaDBServer
from tests.integration.billing.books import STRIPE, Books, a_purchase
from tests.integration.billing.processes import BillingProcess
from tests.integration.billing.refunding import Office as RefundOffice
from tests.integration.billing.world import World
from tests.integration.sandbox.process import ProviderProcess
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events import new_id
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.http import Request
from ticketflow.runtime.mariadb import MariaDBPool, query

ADMIN = {"Authorization": "Bearer admin-key"}
MANY = 60_000  # orders, payments and entries each; the ledger has two lines for each
BATCH = 10_000
RSS_GROWTH_KB_MAX = 32 * 1024  # all rows of the ledger at once would take some 150 MB


class Office:
    """A process of billing, and whoever reads its exports."""

    def __init__(self, process: BillingProcess, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.http = http

    async def rows(self, path: str) -> list[dict[str, str]]:
        async with self.http.get(f"{self.process.base}/api/v1/admin/exports/{path}", headers=ADMIN) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
            return list(csv.DictReader(io.StringIO((await response.read()).decode(), newline=""), strict=True))

    async def count(self, path: str, column: int) -> tuple[int, int]:
        """Lines without the header, and the sum of a column; nothing is kept."""
        lines = total = 0
        async with self.http.get(f"{self.process.base}/api/v1/admin/exports/{path}", headers=ADMIN) as response:
            async for line in response.content:
                if lines:
                    total += int(next(csv.reader([line.decode()]))[column])
                lines += 1
        return lines - 1, total

    def peak_kb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@pytest.fixture
async def office(
    billing_database: DatabaseSettings, provider_ready: ProviderProcess, tmp_path: Path
) -> AsyncIterator[Office]:
    process = BillingProcess("web", billing_database, provider_ready, tmp_path)
    await process.start()
    async with aiohttp.ClientSession() as http:
        yield Office(process, http)
    process.kill()


async def test_what_an_event_has_sold(world: World, books: Books, office: Office) -> None:
    sale, other = await world.placed(), await world.placed()
    await sale.pay("tok_declined")
    paid = await sale.pay()
    purchase = a_purchase("=buyer", sale.hold.event_id)
    await books.record(causes.capture(purchase, paid.body["payment_id"], STRIPE, card_minor=5000, credits_minor=0))
    await books.top_up("anna", 900)
    event_id = sale.hold.event_id

    (order,) = await office.rows(f"{event_id}/orders.csv")
    assert list(order) == list(exports.ORDERS)
    assert order["order_id"] == sale.hold_id
    assert (order["state"], order["places"], order["total_minor"], order["currency"]) == ("PENDING", "2", "5000", "EUR")
    assert order["created_at"].endswith("Z")
    payments = await office.rows(f"{event_id}/payments.csv")
    assert list(payments[0]) == list(exports.PAYMENTS)
    assert sorted((p["state"], p["amount_minor"], p["buyer_id"]) for p in payments) == [
        ("AUTHORIZED", "5000", "buyer-1"),
        ("DECLINED", "5000", "buyer-1"),
    ]
    lines = await office.rows(f"{event_id}/ledger.csv")
    assert list(lines[0]) == list(exports.LEDGER)
    assert [(line["account"], line["amount_minor"]) for line in lines] == [
        ("clearing:stripe", "5000"),
        (f"sales:{event_id}", "-5000"),
    ]
    whole = await office.rows("ledger.csv")
    assert sorted({line["cause"] for line in whole}) == ["capture", "topup"]
    assert await office.rows(f"{other.hold.event_id}/payments.csv") == []


async def test_what_was_given_back(world: World, office: Office) -> None:
    """Asked for by a real process, and carried out by workers here."""
    async with RefundOffice.opened(world) as desk:
        sale = await desk.paid(credits_minor=3000)
        event_id = sale.hold.event_id
        assert await office.rows(f"{event_id}/refunds.csv") == []
        desk.base = f"{office.process.base}/api/v1/admin"
        refund = await desk.refunded(sale, amount_minor=4000, seats_back=True, reason="=storm")
        (row,) = await office.rows(f"{event_id}/refunds.csv")
    assert list(row) == list(exports.REFUNDS)
    assert (row["refund_id"], row["order_id"], row["state"]) == (refund["refund_id"], sale.hold_id, "REFUNDED")
    assert (row["amount_minor"], row["card_minor"], row["credits_minor"]) == ("4000", "2000", "2000")
    assert (row["tickets"], row["seats_back"], row["provider"], row["reason"]) == ("2", "1", "sandbox", "'=storm")
    (order,) = await office.rows(f"{event_id}/orders.csv")
    assert (order["state"], order["refunds_minor"], order["tickets"], order["voided"]) == (
        "PARTIALLY_REFUNDED",
        "4000",
        "2",
        "2",
    )
    (payment,) = await office.rows(f"{event_id}/payments.csv")
    assert (payment["credits_minor"], payment["provider"]) == ("3000", "sandbox")


async def test_what_a_stranger_may_not_read(office: Office) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        for path in ("ledger.csv", f"{new_id()}/orders.csv"):
            url = f"{office.process.base}/api/v1/admin/exports/{path}"
            async with office.http.get(url, headers=headers) as response:
                assert response.status == 401
                assert (await response.json(content_type=None))["code"] == "unauthorized"


async def test_an_event_that_nobody_has_heard_of_has_only_a_header(office: Office) -> None:
    for path in ("orders", "payments", "refunds", "ledger"):
        assert await office.rows(f"{new_id()}/{path}.csv") == []


async def test_pages_leave_nothing_out_and_double_nothing(
    books: Books, office: Office, mariadb_server: RunningServer[MariaDBServer], billing_database: DatabaseSettings
) -> None:
    """Just below, at and above the length of a page."""
    for count in (exports.PAGE - 1, exports.PAGE, exports.PAGE + 1):
        event_id = new_id()
        fill(mariadb_server.server, billing_database, event_id, count)
        for path, ids in (("orders", "order_id"), ("payments", "payment_id"), ("ledger", "cause_id")):
            rows = await office.rows(f"{event_id}/{path}.csv")
            assert len({row[ids] for row in rows}) == count
            assert len(rows) == (2 * count if path == "ledger" else count)


async def test_a_late_page_costs_no_more_than_the_first(
    books: Books, mariadb_server: RunningServer[MariaDBServer], billing_database: DatabaseSettings
) -> None:
    """In rows that the store looks at, whatever it knows of the tables."""
    event_id, other = new_id(), new_id()
    for one in (event_id, other, event_id):
        fill(mariadb_server.server, billing_database, one, 10 * exports.PAGE)
    count = "SELECT SUM(variable_value) AS looked_at FROM information_schema.session_status WHERE variable_name IN"
    names = "('handler_read_key', 'handler_read_next', 'handler_icp_attempts')"
    for analyzed in (False, True):
        if analyzed:
            with mariadb_server.server.connect() as admin, admin.cursor() as cursor:
                cursor.execute(f"USE `{billing_database.database_name}`")
                cursor.execute("ANALYZE TABLE orders, payments, ledger_entries, ledger_postings")
        async with books.pool.acquire(timeout_s=100) as conn:
            for read in (exports.orders, exports.payments, exports.ledger):
                after, pages, most = None, 0, 0
                while pages == 0 or after is not None:
                    (before,) = await query(conn, f"{count} {names}")
                    after = (await read(conn, event_id, after)).last
                    (now,) = await query(conn, f"{count} {names}")
                    most, pages = max(most, int(now["looked_at"] - before["looked_at"])), pages + 1
                assert pages == 20 + 1
                assert most < 8 * exports.PAGE, read.__name__


@pytest.mark.timeout(400)  # 15 s on an idle machine
async def test_memory_does_not_grow_with_the_rows(
    office: Office,
    mariadb_server: RunningServer[MariaDBServer],
    billing_database: DatabaseSettings,
    record_property: Any,
) -> None:
    event_id = new_id()
    for _ in range(MANY // BATCH):
        fill(mariadb_server.server, billing_database, event_id, BATCH)
    await office.count(f"{new_id()}/orders.csv", 0)
    office.forget_peak()
    before = office.peak_kb()
    assert await office.count(f"{event_id}/ledger.csv", 8) == (2 * MANY, 0)
    assert await office.count(f"{event_id}/payments.csv", exports.PAYMENTS.index("amount_minor")) == (MANY, MANY * 5000)
    assert await office.count(f"{event_id}/orders.csv", exports.ORDERS.index("total_minor")) == (MANY, MANY * 5000)
    grown_kb = office.peak_kb() - before
    record_property("told", f"exports: {4 * MANY} rows, {grown_kb} KB more memory at the peak")
    assert grown_kb < RSS_GROWTH_KB_MAX


class Failing:
    """A pool that is away for some acquisitions, by their number from 0."""

    def __init__(self, pool: MariaDBPool, away: Container[int]) -> None:
        self._pool = pool
        self._away = away
        self._asked = -1

    def acquire(self) -> Any:
        self._asked += 1
        if self._asked in self._away:
            raise Unavailable("the writer has moved")
        return self._pool.acquire()


async def exported(books: Books, event_id: str, away: Container[int]) -> list[list[str]]:
    pool: Any = Failing(books.pool, away)
    reply = (
        await Exports(pool).routes()[0].handler(Request(None, None, {"event_id": event_id}, {}, "", b"", "c-1", None))
    )
    text = b"".join([chunk async for chunk in reply.body])  # type: ignore[union-attr]
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


async def test_a_failover_between_two_pages_leaves_nothing_out(
    books: Books, mariadb_server: RunningServer[MariaDBServer], billing_database: DatabaseSettings
) -> None:
    event_id, count = new_id(), 2 * exports.PAGE + 1
    fill(mariadb_server.server, billing_database, event_id, count)
    rows = await exported(books, event_id, away={1, 2, 4})
    assert len({row[0] for row in rows[1:]}) == len(rows) - 1 == count


@pytest.mark.parametrize("begun", [0, 1])
async def test_a_store_that_stays_away_ends_the_export(
    books: Books, mariadb_server: RunningServer[MariaDBServer], billing_database: DatabaseSettings, begun: int
) -> None:
    event_id = new_id()
    fill(mariadb_server.server, billing_database, event_id, exports.PAGE + 1)
    with pytest.raises(Unavailable):
        await exported(books, event_id, away=range(begun, 100))


async def test_only_a_few_at_once(
    office: Office, mariadb_server: RunningServer[MariaDBServer], billing_database: DatabaseSettings
) -> None:
    """Readers that do not read keep theirs under way; when they leave, others may come."""
    event_id = new_id()
    for _ in range(6):
        fill(mariadb_server.server, billing_database, event_id, BATCH)
    url = f"{office.process.base}/api/v1/admin/exports/{event_id}/ledger.csv"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), read_bufsize=1024) as lazy:

        async def begun() -> aiohttp.ClientResponse:
            response = await lazy.get(url, headers=ADMIN)
            assert response.status == 200, await response.text()
            return response

        asked = [await wait_until(begun) for _ in range(AT_ONCE_MAX)]
        async with office.http.get(url, headers=ADMIN) as response:
            assert (response.status, response.headers.get("Retry-After")) == (429, "10")
            assert (await response.json(content_type=None))["code"] == "exports_busy"
        for response in asked:
            response.close()

    async def free() -> bool:
        async with office.http.get(f"{office.process.base}/api/v1/admin/exports/ledger.csv", headers=ADMIN) as response:
            return response.status == 200

    await wait_until(free)


def fill(server: MariaDBServer, settings: DatabaseSettings, event_id: str, count: int) -> None:
    """Orders of one event, each paid once and captured. Text ids that no code of ours would make, in one statement."""
    batch = new_id()[-17:]
    with server.connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"USE `{settings.database_name}`")
        cursor.execute(
            "INSERT INTO orders (order_id, event_id, event_name, buyer_id, total_minor, currency, placed_at,"
            " expires_at, correlation_id) SELECT CONCAT(%s, LPAD(seq, 18, '0')), %s, 'Evening',"
            " CONCAT('buyer-', seq), 5000, 'EUR',"
            " UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 'c' FROM seq_1_to_1000000 LIMIT %s",
            (batch, event_id, count),
        )
        cursor.execute(
            "INSERT INTO payments (payment_id, order_id, state, amount_minor, currency, method, authorization_id,"
            " started_at, changed_at, correlation_id) SELECT order_id, order_id, 'CAPTURED', 5000, 'EUR', 'card', 'a',"
            " placed_at, placed_at, 'c' FROM orders WHERE order_id LIKE %s",
            (batch + "%",),
        )
        cursor.execute(
            "INSERT INTO ledger_entries (cause, cause_id, currency, order_id, event_id)"
            " SELECT 'capture', order_id, 'EUR', order_id, event_id FROM orders WHERE order_id LIKE %s",
            (batch + "%",),
        )
        cursor.execute(
            "INSERT INTO ledger_postings SELECT entry_id, 0, 'clearing:stripe', 5000 FROM ledger_entries"
            " WHERE cause = 'capture' AND cause_id LIKE %s"
            " UNION ALL SELECT entry_id, 1, CONCAT('sales:', event_id), -5000 FROM ledger_entries"
            " WHERE cause = 'capture' AND cause_id LIKE %s",
            (batch + "%", batch + "%"),
        )
