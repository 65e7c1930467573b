"""The money came late: other seats of the same tier, or none."""

from tests.integration.billing.world import PRICE_MINOR, Sale, World
from ticketflow.events import HoldLine, HoldReturned, OrderFailed, OrderMoved, TicketIssued, new_id


def other_seats(sale: Sale, *, price_minor: int = PRICE_MINOR) -> list[HoldLine]:
    return [
        HoldLine(unit_id=new_id(), tier=line.tier, label=f"B-{number}", price_minor=price_minor)
        for number, line in enumerate(sale.hold.lines, 1)
    ]


async def paid(world: World) -> tuple[Sale, str]:
    sale = await world.placed()
    return sale, str((await sale.pay()).body["payment_id"])


async def test_the_tickets_are_for_the_seats_that_the_buyer_got_instead(world: World) -> None:
    sale, payment_id = await paid(world)
    others = other_seats(sale)
    await sale.expired()
    await sale.sold(payment_id, moved_to=others, again=True)
    await world.run("capture")
    await sale.ends("CONFIRMED")
    order = await sale.order()
    assert [line["label"] for line in order["lines"]] == ["B-1", "B-2"]
    assert sorted(ticket["label"] for ticket in order["tickets"]) == ["B-1", "B-2"]
    assert (await sale.codes()).count("seats_moved") == 1
    told = await world.staged(sale.hold_id)
    assert [payload for payload in told if isinstance(payload, OrderMoved)] == [
        OrderMoved(order_id=sale.hold_id, lines=others)
    ]
    (issued,) = [payload for payload in told if isinstance(payload, TicketIssued)]
    assert {ticket.unit_id for ticket in issued.tickets} == {line.unit_id for line in others}


async def test_seats_of_another_price_are_not_taken_over(world: World) -> None:
    sale, payment_id = await paid(world)
    await sale.sold(payment_id, moved_to=other_seats(sale, price_minor=PRICE_MINOR + 1))
    assert await sale.payment_states() == ["AUTHORIZED"]
    (parked,) = await world.rows("SELECT detail FROM delivery_parked")
    assert "do not add up to its total" in parked["detail"]


async def test_a_failed_order_whose_seats_were_sold_asks_for_them_back(world: World) -> None:
    sale, payment_id = await paid(world)
    await sale.sold(payment_id)
    (item,) = await world.at_bank(payment_id)
    await world.provider.void(item["authorization_id"], key=new_id())
    await world.run("capture", "void")
    await sale.ends("FAILED")
    (failed,) = [payload for payload in await world.staged(sale.hold_id) if isinstance(payload, OrderFailed)]
    assert failed == OrderFailed(order_id=sale.hold_id, reason="capture_refused", return_id=sale.hold_id)
    returned = HoldReturned(hold_id=sale.hold_id, return_id=sale.hold_id, unit_ids=[sale.hold.lines[0].unit_id])
    await world.feed(sale.event(returned), again=True)
    assert (await sale.codes()).count("seats_returned") == 1


async def test_an_order_whose_seats_were_lost_has_none_to_give_back(world: World) -> None:
    sale, payment_id = await paid(world)
    await sale.lost(payment_id)
    await world.run("void")
    (failed,) = [payload for payload in await world.staged(sale.hold_id) if isinstance(payload, OrderFailed)]
    assert failed.return_id is None
