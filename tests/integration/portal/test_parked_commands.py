"""``python -m portal parked``: the same commands over messages that came by the queue."""

import json
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from portal import store
from portal.applier import Applier
from portal.understanding import parked as parked_row
from portal.workers import ParkedCounter
from tests.support.commands import Said, parked
from tests.support.databases import Database
from tests.unit.portal.events import SaleEvents
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import Envelope, encode
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.postgres import PostgresPool


class House:
    """A portal's store, without a queue: deliveries are made by hand."""

    def __init__(self, database: Database, pool: PostgresPool) -> None:
        self.environment = {"PORTAL_DATABASE_DSN": database.dsn}
        self.pool = pool
        self.applier = Applier(pool, "billing", Outbox(PostgresDialect(), "portal"))

    async def say(self, *arguments: str) -> Said:
        return await parked("portal", self.environment, *arguments)

    async def park(self, *events: Envelope) -> None:
        """As a version would have that failed at each."""
        rows = [parked_row(delivered(event), event, "failed", "KeyError: 'seat'", 3) for event in events]
        async with self.pool.transaction() as conn:
            await store.park(conn, rows)

    async def state(self, order_id: str) -> str | None:
        async with self.pool.acquire() as conn:
            sale = await store.sale(conn, order_id)
        return None if sale is None else sale.state

    async def counts(self) -> dict[str, int]:
        tables = ("portal_parked", "delivery_inbox", "delivery_outbox", "sales", "delivery_audit")
        async with self.pool.acquire() as conn:
            return {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for table in tables}


def delivered(event: Envelope | bytes, kind: str = "undecodable") -> Delivery:
    body, kind = (event, kind) if isinstance(event, bytes) else (encode(event), event.kind)
    return Delivery(1, kind, {"stream": "billing", "epoch": 3, "seq": 41}, body, redelivered=False)


@pytest.fixture
async def house(migrated: Database) -> AsyncIterator[House]:
    pool = PostgresPool(migrated.dsn, name="test", size_max=3)
    await pool.open()
    yield House(migrated, pool)
    await pool.close()


async def test_a_sale_is_requeued_once(house: House) -> None:
    events = SaleEvents()
    await house.park(*events.sold())
    before = await house.counts()
    rehearsed = await house.say("requeue", events.order_id, "--dry-run")
    assert (rehearsed.code, rehearsed.out.count("would be applied")) == (0, 4)
    assert await house.counts() == before

    done = await house.say("requeue", events.order_id, "--json")
    assert done.code == 0
    assert [event["result"] for event in done.json["events"]] == ["applied"] * 4
    assert await house.state(events.order_id) == "CONFIRMED"
    assert await house.counts() == {
        "portal_parked": 0,
        "delivery_inbox": 4,
        "delivery_outbox": 1,
        "sales": 1,
        "delivery_audit": 4,
    }


async def test_what_was_applied_by_another_way_is_only_removed(house: House) -> None:
    pending = SaleEvents().pending()
    await house.park(pending)
    await house.applier.apply([delivered(pending)])
    done = await house.say("requeue", pending.id)
    assert (done.code, "removed: it had been applied already" in done.out) == (0, True)
    assert (await house.counts())["portal_parked"] == 0


async def test_one_that_fails_again_keeps_no_other_waiting(house: House) -> None:
    good = SaleEvents()
    bad = SaleEvents()
    bad.order_id = "no-id"
    await house.applier.apply([delivered(bad.pending()), delivered(b"\xc1")])
    await house.park(good.pending())
    listed = (await house.say("list", "--json")).json["parked"]
    assert [(event["reason"], event["seq"], event["behind"]) for event in listed] == [
        ("poison", 41, 0),
        ("undecodable", 41, 0),
        ("failed", 41, 0),
    ]
    failed = await house.say("requeue", "--all-of", "poison")
    assert (failed.code, "failed again (attempt 1): its order_id is no UUIDv7" in failed.out) == (1, True)
    assert (await house.say("requeue", good.order_id)).code == 0
    assert (await house.say("requeue", listed[1]["id"])).code == 1
    shown = await house.say("show", listed[1]["id"])
    assert "no event: 1 bytes" in shown.out
    assert (await house.counts())["portal_parked"] == 2


async def test_what_is_discarded_is_neither_applied_nor_parked_when_it_comes_again(house: House) -> None:
    events = SaleEvents()
    pending = events.pending()
    bad = SaleEvents()
    bad.order_id = "no-id"
    poison = bad.pending()
    await house.park(pending)
    await house.applier.apply([delivered(poison)])
    for event in (pending, poison):
        gone = await house.say("discard", event.id, "--reason", "a test sale")
        assert gone.code == 0, gone
    await house.applier.apply([delivered(pending), delivered(poison)])
    assert await house.state(events.order_id) is None
    assert (await house.counts())["portal_parked"] == 0
    async with house.pool.acquire() as conn:
        details = [json.loads(row[0]) for row in await conn.fetch("SELECT detail FROM delivery_audit ORDER BY id")]
    assert [detail["because"] for detail in details] == ["a test sale"] * 2


async def test_what_is_parked_is_counted_by_reason(house: House) -> None:
    await house.park(SaleEvents().pending())
    await ParkedCounter(house.pool, PostgresDialect(), "billing").run_once()
    labels = {"stream": "billing", "reason": "failed"}
    assert REGISTRY.get_sample_value("delivery_parked_events", labels) == 1
    assert REGISTRY.get_sample_value("portal_parked_messages") == 1


async def test_errors_are_one_line(house: House) -> None:
    missing = await house.say("show", "abc")
    assert (missing.code, missing.err) == (1, "portal parked: nothing is parked under 'abc'\n")
    usage = await house.say("list", "--reason", "boredom")
    assert (usage.code, usage.err.count("\n")) == (2, 1)
    away = await parked("portal", {"PORTAL_DATABASE_DSN": "postgresql://a:secret@127.0.0.1:1/x"}, "list")
    assert (away.code, "the database is away" in away.err, "secret" in away.err) == (1, True, False)
