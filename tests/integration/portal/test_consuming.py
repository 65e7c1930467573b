"""Events come by RabbitMQ and are folded into Postgres, exactly once in effect."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from stack.servers.rabbitmq import RabbitMQServer
from tests.integration.portal.conftest import Portal
from tests.integration.portal.watching import all_acknowledged, confirmed, trouble
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from ticketflow.events import Envelope, SaleSettle, encode, payload_of
from ticketflow.events.topology import SALES_DEAD_QUEUE, SALES_QUEUE
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.errors import Indefinite


def unstorable(sale: SaleEvents) -> Envelope:
    """A label with a NUL: an event by its shape, and nothing that Postgres can store."""
    event = sale.issued()
    fields = msgspec.msgpack.decode(event.payload)
    fields["tickets"][0]["label"] = "A\x00B"
    return msgspec.structs.replace(event, payload=msgspec.Raw(msgspec.msgpack.encode(fields)))


async def test_a_sale_is_folded_and_its_settlement_asked_for_once(
    portal: Portal, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    events = SaleEvents()
    portal.start()

    await portal.publish(*events.sold())

    await confirmed(portal, events)
    sale = await portal.sale(events.order_id)
    assert sale is not None
    assert (sale.buyer_id, sale.event_name, sale.total_minor, len(sale.tickets)) == ("ann", "Aida", 2500, 2)
    assert [entry.code for entry in sale.history.values()] == [
        "order.pending",
        "payment.authorized",
        "ticket.issued",
        "order.confirmed",
    ]
    [command] = await portal.staged()
    assert payload_of(command) == SaleSettle(
        hold_id=events.order_id, payment_id=events.payment_id, started_at_us=1_795_000_000_000_000
    )
    await all_acknowledged(portal, rabbitmq_server)


async def test_repeats_and_disorder_have_one_effect(portal: Portal) -> None:
    events = SaleEvents()
    pending, authorized, issued, done = events.sold()
    portal.start()

    await portal.publish(done, authorized, issued, authorized, pending, done, authorized, pending)
    await confirmed(portal, events)
    await portal.publish(authorized, pending, issued)

    other = SaleEvents()
    await portal.publish(*other.sold())
    await confirmed(portal, other)
    assert await portal.counts() == (8, 2, 8)
    assert len(await portal.staged()) == 2, "one for each sale"


async def test_hundreds_of_sales_in_a_few_transactions(portal: Portal) -> None:
    sales = [SaleEvents(f"buyer-{n}") for n in range(150)]
    await portal.publish(*[event for sale in sales for event in sale.sold()])
    transactions: list[int] = []

    class Counting:
        async def apply(self, deliveries: Sequence[Delivery]) -> None:
            transactions.append(len(deliveries))
            await portal.applier.apply(deliveries)

    portal.start(Counting())

    await confirmed(portal, *sales)
    assert await portal.counts() == (600, 150, 600)
    assert len(transactions) < 60, transactions


async def test_what_cannot_be_stored_is_found_among_hundreds_in_a_few_transactions(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    sales = [SaleEvents(f"buyer-{n}") for n in range(100)]
    events = [event for sale in sales for event in sale.sold()]
    wrong = [5, 202, 203, 399]
    for at in wrong:
        events[at] = unstorable(SaleEvents())
    deliveries = [Delivery(n, event.kind, {}, encode(event), redelivered=False) for n, event in enumerate(events)]
    transact, committed, failed = portal.applier._transact, list[int](), list[int]()

    async def counting(some: Sequence[Delivery]) -> None:
        try:
            await transact(some)
        except Exception:
            failed.append(len(some))
            raise
        committed.extend(delivery.tag for delivery in some)

    monkeypatch.setattr(portal.applier, "_transact", counting)

    await portal.applier.apply(deliveries)

    assert committed == [n for n in range(400) if n not in wrong], "in their order, each once"
    assert [parked[0] for parked in await portal.parked()] == ["failed"] * 4
    assert len(failed) < 50, f"{failed}: halves, not one by one"
    assert await portal.counts() == (396, 100, 396)
    assert len(await portal.staged()) == 99, "a payment was among the four"


async def test_poison_is_set_aside_and_the_others_flow(
    portal: Portal, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    before, after, hurt = SaleEvents("before"), SaleEvents("after"), SaleEvents("hurt")
    wrong_shape = msgspec.structs.replace(
        hurt.pending(), payload=msgspec.Raw(msgspec.msgpack.encode({"order_id": hurt.order_id}))
    )

    await portal.publish(*before.sold(), b"\xc1", wrong_shape, unstorable(hurt), b"\x00 \xff", b"\xc1", *after.sold())
    portal.start()

    await confirmed(portal, before, after)
    await all_acknowledged(portal, rabbitmq_server)
    assert sorted(await portal.parked()) == [
        ("failed", "ticket.issued", 3),
        ("undecodable", "order.pending", 0),
        ("undecodable", "undecodable", 0),
        ("undecodable", "undecodable", 0),
    ]
    assert await portal.waiting(SALES_DEAD_QUEUE) == 0


async def test_a_later_event_of_a_parked_sale_is_applied(portal: Portal) -> None:
    events = SaleEvents()
    pending, authorized, issued, done = events.sold()
    broken = msgspec.structs.replace(pending, payload=msgspec.Raw(b"\x80"))
    portal.start()

    await portal.publish(broken, authorized, issued, done)

    await confirmed(portal, events)
    assert len(await portal.parked()) == 1
    assert len(await portal.staged()) == 1


async def test_kinds_of_the_future_are_no_obstacle(
    portal: Portal, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    events = SaleEvents()
    unknown = msgspec.structs.replace(events.pending(), kind="seat.upgraded")
    newer = events.authorized()
    newer = msgspec.structs.replace(
        newer,
        version=4,
        payload=msgspec.Raw(msgspec.msgpack.encode(msgspec.msgpack.decode(newer.payload) | {"new": [1, {"a": None}]})),
    )
    portal.start()

    await portal.publish(unknown, newer)

    await all_acknowledged(portal, rabbitmq_server)
    assert await portal.state(events.order_id) == "PAYING"
    assert await portal.parked() == []
    assert await portal.counts() == (1, 1, 1), "what is ignored leaves no trace: a newer portal may read it again"


async def test_a_crash_between_commit_and_ack_has_one_effect(portal: Portal) -> None:
    events = SaleEvents()
    applied: list[Delivery] = []  # of the four, as many as had arrived by then
    committed = asyncio.Event()

    class DiesAfterCommit:
        async def apply(self, deliveries: Sequence[Delivery]) -> None:
            await portal.applier.apply(deliveries)
            applied.extend(deliveries)
            committed.set()
            await asyncio.Event().wait()

    async def all_are_back() -> bool:
        return await portal.waiting(SALES_QUEUE) == 4

    await portal.publish(*events.sold())
    portal.start(DiesAfterCommit())
    await committed.wait()
    await portal.stop()
    await wait_until(all_are_back)  # nothing was acknowledged
    redelivered: list[Delivery] = []

    class Remembering:
        async def apply(self, deliveries: Sequence[Delivery]) -> None:
            redelivered.extend(deliveries)
            await portal.applier.apply(deliveries)

    portal.start(Remembering())
    more = SaleEvents()
    await portal.publish(*more.sold())
    await confirmed(portal, events, more)

    assert len(redelivered) == 8
    assert all(delivery.redelivered for delivery in redelivered[: len(applied)])
    assert await portal.counts() == (8, 2, 8)
    assert len(await portal.staged()) == 2


async def test_a_commit_without_an_answer_is_repeated_and_has_one_effect(portal: Portal) -> None:
    events = SaleEvents()
    answers: list[str] = []

    class LosesTheFirstAnswer:
        async def apply(self, deliveries: Sequence[Delivery]) -> None:
            await portal.applier.apply(deliveries)
            answers.append("committed")
            if len(answers) == 1:
                raise Indefinite("no answer to COMMIT")

    await portal.publish(*events.sold())
    portal.start(LosesTheFirstAnswer())

    await confirmed(portal, events)
    await wait_until(lambda: len(answers) >= 2)
    assert await portal.counts() == (4, 1, 4)
    assert len(await portal.staged()) == 1


async def test_a_fault_of_the_schema_parks_nothing(portal: Portal) -> None:
    """An event is not to blame when the portal is newer than its database."""
    events = SaleEvents()
    async with portal.pool.acquire() as conn:
        await conn.execute("ALTER TABLE sales RENAME COLUMN event_name TO former_name")
    portal.start()
    await portal.publish(*events.sold())

    await wait_until(lambda: "UndefinedColumn" in trouble(portal))
    async with portal.pool.acquire() as conn:
        await conn.execute("ALTER TABLE sales RENAME COLUMN former_name TO event_name")

    await confirmed(portal, events)
    assert await portal.parked() == []
