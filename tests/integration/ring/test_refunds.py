"""A refund through all four services: the ticket dies, the money goes back, and the seat too if that was asked."""

from typing import Any

from tests.support.buyer import Buyer, Event, Purchase, Shop
from tests.support.waiting import wait_until
from ticketflow.events import new_id


async def bought(shop: Shop, event: Event, seats: list[str]) -> Purchase:
    purchase = await Buyer(shop).hold(event, seats)
    await purchase.pay_through()
    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=60)
    return purchase


async def refunded(shop: Shop, purchase: Purchase, **wish: Any) -> None:
    headers = {"Authorization": f"Bearer {shop.admin_key}", "Idempotency-Key": new_id()}
    body = {"reason": "changed plans"} | wish
    path = f"/api/v1/admin/orders/{purchase.hold_id}/refunds"
    asked = await shop.insist("POST", path, body, headers=headers)
    assert asked.status == 202, asked


async def test_the_seats_of_a_refunded_order_are_sold_again_when_that_was_asked(shop: Shop) -> None:
    event = await shop.event(seats=2)
    purchase = await bought(shop, event, event.seats)
    await refunded(shop, purchase, seats_back=True)
    await wait_until(lambda: purchase.sale_is("REFUNDED"), timeout_s=60)
    await wait_until(lambda: event.stands_at(free=2, held=0, sold=0), timeout_s=60)

    async def told() -> bool:
        return "seats_returned" in [entry["code"] for entry in (await purchase.order())["history"]]

    await wait_until(told, timeout_s=60)
    assert all(ticket["voided"] for ticket in (await purchase.order())["tickets"])
    again = await bought(shop, event, event.seats)
    assert (await again.order())["state"] == "CONFIRMED"
    await event.stands_at(free=0, held=0, sold=2)


async def test_one_ticket_of_two_without_its_seat(shop: Shop) -> None:
    event = await shop.event(seats=2)
    purchase = await bought(shop, event, event.seats)
    ticket = (await purchase.order())["tickets"][0]
    await refunded(shop, purchase, tickets=[ticket["ticket_id"]])
    await wait_until(lambda: purchase.sale_is("PARTIALLY_REFUNDED"), timeout_s=60)
    order = await purchase.order()
    assert [one["voided"] for one in order["tickets"] if one["ticket_id"] == ticket["ticket_id"]] == [True]
    assert [one["voided"] for one in order["tickets"] if one["ticket_id"] != ticket["ticket_id"]] == [False]
    sale = await shop.insist("GET", f"/api/v1/sales/{purchase.hold_id}")
    assert sale.body["refunded_minor"] == order["refunds"][0]["amount_minor"] == 2500
    await event.stands_at(free=0, held=0, sold=2)
