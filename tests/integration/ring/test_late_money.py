"""The buyer pays on the provider's page when the hold is over, through all four services."""

import aiohttp
import pytest

from tests.support.buyer import Buyer, Event, Purchase, Shop
from tests.support.waiting import wait_until
from ticketflow.events import new_id

SHORT = {"hold_ttl_s": 5, "grace_s": 0}


async def opened_page(shop: Shop, event: Event, *, late: str) -> tuple[Purchase, str]:
    """A hold of the event's first seat whose buyer has gone to the provider's page; its address."""
    buyer = Buyer(shop)
    wish = buyer.wish(event, event.seats[:1]) | {"late": late}
    placed = await shop.insist("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
    assert placed.status == 201, placed
    purchase = Purchase(buyer, placed.body["hold_id"], placed.body["token"])
    headers = purchase.headers | {"Idempotency-Key": new_id()}
    path = f"/api/v1/orders/{purchase.hold_id}/payments"
    begun = await shop.insist("POST", path, {"method": "redirect"}, headers=headers)
    assert (begun.status, begun.body["state"]) == (201, "STARTED")
    return purchase, begun.body["redirect_url"]


async def paid_on(page: str) -> None:
    async with aiohttp.ClientSession() as browser, browser.post(page, data={"card_token": "tok_ok"}) as answer:
        assert answer.status == 200, await answer.text()


async def bought_by_another(event: Event) -> None:
    """The event's first seat, as soon as it is free."""
    other = await Buyer(event.shop).hold(event, event.seats[:1])
    await other.pay_through()
    await wait_until(lambda: other.sale_is("CONFIRMED"), timeout_s=60)


async def has_ended(purchase: Purchase) -> None:
    await wait_until(lambda: purchase.hold_is("EXPIRED"), timeout_s=30)


async def test_the_same_seat_when_it_is_still_free(shop: Shop) -> None:
    event = await shop.event(seats=1, **SHORT)
    purchase, page = await opened_page(shop, event, late="refund")
    await has_ended(purchase)
    assert await purchase.order_state() == "PENDING"
    await paid_on(page)
    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=60)
    assert [ticket["label"] for ticket in (await purchase.order())["tickets"]] == ["A-1"]


async def test_an_equal_seat_when_it_is_gone_and_the_buyer_agreed(shop: Shop) -> None:
    event = await shop.event(seats=3, **SHORT)
    purchase, page = await opened_page(shop, event, late="same_tier")
    await has_ended(purchase)
    await bought_by_another(event)
    await paid_on(page)
    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=60)
    order = await purchase.order()
    assert [ticket["label"] for ticket in order["tickets"]] == ["A-2"]
    assert "seats_moved" in [entry["code"] for entry in order["history"]]
    assert (await event.states())["sold"] == 2


@pytest.mark.parametrize(("late", "seats"), [("refund", 3), ("same_tier", 1)])
async def test_the_money_back_when_it_is_gone_and_there_is_no_other(shop: Shop, late: str, seats: int) -> None:
    event = await shop.event(seats=seats, **SHORT)
    purchase, page = await opened_page(shop, event, late=late)
    await has_ended(purchase)
    await bought_by_another(event)
    await paid_on(page)
    await wait_until(lambda: purchase.sale_is("FAILED"), timeout_s=60)
    order = await purchase.order()
    assert (order["state"], order["reason"], order["tickets"]) == ("FAILED", "taken", [])
    assert [payment["state"] for payment in order["payments"]] == ["VOIDED"]
