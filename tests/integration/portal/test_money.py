"""Other places, void tickets and refunds: folded in any order, and reservation told once what it has to do."""

import random
from itertools import permutations

from stack.servers.rabbitmq import RabbitMQServer
from tests.integration.portal.conftest import Portal
from tests.integration.portal.watching import all_acknowledged, confirmed
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from tests.unit.portal.events import SaleEvents
from tests.unit.portal.folding import folded
from ticketflow.events import Payload, SaleReturn, SaleSettle, new_id, payload_of


async def commands(portal: Portal) -> list[Payload | None]:
    return [payload_of(command) for command in await portal.staged()]


async def state(portal: Portal, sale: SaleEvents, wanted: str) -> None:
    async def there() -> bool:
        return await portal.state(sale.order_id) == wanted

    await wait_until(there)


async def test_a_refunded_sale_gives_its_places_back_once(
    portal: Portal, rabbitmq_server: RunningServer[RabbitMQServer]
) -> None:
    sale, refund_id = SaleEvents(), new_id()
    events = sale.sold()
    voided = sale.tickets_voided(refund_id, 1, seats_back=True)
    refunded = sale.refunded(refund_id)
    portal.start()
    await portal.publish(*events, voided, voided, refunded, voided)
    await state(portal, sale, "PARTIALLY_REFUNDED")
    await portal.stop()
    portal.start()
    await portal.publish(voided, refunded)
    await all_acknowledged(portal, rabbitmq_server)

    assert await commands(portal) == [
        SaleSettle(hold_id=sale.order_id, payment_id=sale.payment_id, started_at_us=1_795_000_000_000_000),
        SaleReturn(hold_id=sale.order_id, return_id=refund_id, unit_ids=[sale.units[1]]),
    ]
    known = await portal.sale(sale.order_id)
    assert known is not None
    assert ([ticket.label for ticket in known.good], known.refunded_minor) == (["A-1"], 1250)


async def test_an_order_that_fails_after_it_was_sold_gives_its_places_back_once(portal: Portal) -> None:
    sale = SaleEvents()
    failed = sale.failed("capture_refused", sale.order_id)
    portal.start()
    await portal.publish(failed, failed)
    await state(portal, sale, "FAILED")
    await portal.publish(failed)
    other = SaleEvents()
    await portal.publish(*other.sold())
    await confirmed(portal, other)

    first, _settle = await commands(portal)
    assert first == SaleReturn(hold_id=sale.order_id, return_id=sale.order_id)


async def test_what_is_stored_is_the_fold_whatever_the_order_and_the_batches(portal: Portal) -> None:
    """The store joins as portal.projection does."""
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    sales: list[tuple[SaleEvents, object]] = []
    portal.start()
    for _ in range(8):
        sale, first, second = SaleEvents(), new_id(), new_id()
        events = [
            *sale.sold_late(moved=True),
            sale.tickets_voided(first, 0, seats_back=True),
            sale.tickets_voided(second, 1),
            sale.refunded(first),
            sale.refunded(second, 1250, 2500, credits_minor=250),
        ]
        sales.append((sale, folded(*events)))
        await portal.publish(*dice.sample(events, len(events)), *dice.choices(events, k=5))
    for sale, expected in sales:

        async def same(sale: SaleEvents = sale, expected: object = expected) -> bool:
            found = await portal.sale(sale.order_id)
            assert found == expected
            return True

        await wait_until(same)
    assert len(await commands(portal)) == 16


async def test_a_ticket_that_was_void_before_it_was_issued_stays_void(portal: Portal) -> None:
    portal.start()
    for order in permutations(range(3)):
        sale, refund_id = SaleEvents(), new_id()
        events = [sale.issued(), sale.confirmed(), sale.tickets_voided(refund_id, 0)]
        for place in order:
            await portal.publish(events[place])

        async def void(sale: SaleEvents = sale) -> bool:
            known = await portal.sale(sale.order_id)
            return known is not None and [ticket.label for ticket in known.good] == ["A-2"]

        await wait_until(void)


async def test_messages_from_before_are_folded_as_ever(portal: Portal) -> None:
    sale = SaleEvents()
    portal.start()
    await portal.publish(*sale.sold())
    await confirmed(portal, sale)
    known = await portal.sale(sale.order_id)

    assert known is not None
    assert (known.voided, known.refunds, known.moved_to, known.refunded_minor) == ({}, {}, None, 0)
