"""One sale through all four services, and the ways it may end."""

import asyncio

from tests.support.buyer import Buyer, Event, Shop
from tests.support.ring import Ring
from tests.support.waiting import wait_until
from ticketflow.events import new_id


async def got_by_another(event: Event) -> bool:
    return (await Buyer(event.shop).ask(event, event.seats)).status == 201


async def test_a_sale_ends_with_tickets_and_money(shop: Shop) -> None:
    event = await shop.event(seats=2, standing=2)
    purchase = await Buyer(shop).hold(event, event.seats, standing=1)
    paid = await purchase.pay()
    assert (paid.status, paid.body["order_id"]) == (201, purchase.hold_id)

    await wait_until(lambda: purchase.sale_is("CONFIRMED"))
    order = await purchase.order()
    assert (order["state"], order["total_minor"], order["currency"]) == ("CONFIRMED", 6500, "EUR")
    assert sorted(ticket["label"] for ticket in order["tickets"]) == ["A-1", "A-2", "standing"]
    assert [payment["state"] for payment in order["payments"]] == ["CAPTURED"]
    assert (await purchase.read_hold()).body["state"] == "SOLD"
    assert await event.states() == {"free": 1, "held": 0, "sold": 3}
    sales = await shop.insist("GET", f"/api/v1/sales?buyer_id={purchase.buyer.buyer_id}")
    assert [sale["order_id"] for sale in sales.body["items"]] == [purchase.hold_id]
    assert len(sales.body["items"][0]["tickets"]) == 3


async def test_a_repeated_payment_is_one_payment(shop: Shop) -> None:
    event = await shop.event(seats=1)
    purchase = await Buyer(shop).hold(event, event.seats)
    key = new_id()
    await purchase.pay(key=key)
    answers = await asyncio.gather(*(purchase.pay(key=key) for _ in range(5)))
    assert len({answer.body["payment_id"] for answer in answers}) == 1
    other = await purchase.try_to_pay()
    assert other.status == 409
    assert other.code in ("payment_in_progress", "order_confirmed")

    await wait_until(lambda: purchase.order_is("CONFIRMED"))
    assert len((await purchase.order())["payments"]) == 1


async def test_a_declined_card_leaves_the_seats_to_the_next_card(shop: Shop) -> None:
    event = await shop.event(seats=1)
    purchase = await Buyer(shop).hold(event, event.seats)
    declined = await purchase.pay(card="tok_declined")
    assert (declined.status, declined.code) == (402, "card_declined")
    assert (await purchase.pay()).status == 201

    await wait_until(lambda: purchase.sale_is("CONFIRMED"))


async def test_a_released_hold_is_a_failed_order_that_nobody_can_pay(shop: Shop) -> None:
    event = await shop.event(seats=1)
    purchase = await Buyer(shop).hold(event, event.seats)
    await purchase.release()

    await wait_until(lambda: purchase.order_is("FAILED"))
    refused = await purchase.pay()
    assert refused.status in (409, 410)
    assert refused.code in ("order_failed", "hold_expired")


async def test_a_provider_that_charges_and_never_answers_is_found_out(shop: Shop) -> None:
    event = await shop.event(seats=1)
    purchase = await Buyer(shop).hold(event, event.seats)
    await wait_until(lambda: purchase.order_is("PENDING"))
    answer = await purchase.try_to_pay(card="tok_timeout_after_charge")
    assert answer.status == 202

    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=45)
    assert [payment["state"] for payment in (await purchase.order())["payments"]] == ["CAPTURED"]


async def test_a_payment_after_the_holds_time_is_refused(shop: Shop) -> None:
    event = await shop.event(seats=1, hold_ttl_s=5, grace_s=2)
    purchase = await Buyer(shop).hold(event, event.seats)

    await wait_until(lambda: purchase.hold_is("EXPIRED"), timeout_s=20)
    refused = await purchase.pay()
    assert (refused.status, refused.code) in ((410, "hold_expired"), (409, "order_failed"))

    await wait_until(lambda: event.stands_at(free=1, held=0, sold=0), timeout_s=20)


async def test_a_payment_that_outruns_its_order_is_told_to_wait(shop: Shop, ring: Ring) -> None:
    await ring.stop_program("billing-listener")
    try:
        event = await shop.event(seats=1)
        purchase = await Buyer(shop).hold(event, event.seats)
        early = await purchase.try_to_pay()
        assert (early.status, early.code) == (409, "order_not_yet")
        assert int(early.headers["Retry-After"]) >= 1
    finally:
        await ring.start("billing-listener")
    assert (await purchase.pay()).status == 201

    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=30)


async def test_paid_in_time_and_settled_in_the_grace_keeps_its_seats(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=1, hold_ttl_s=5, grace_s=60)
    await ring.stop_program("portal")  # nobody settles
    try:
        purchase = await Buyer(shop).hold(event, event.seats)
        assert (await purchase.pay()).status == 201

        await wait_until(lambda: purchase.hold_is("EXPIRED"), timeout_s=20)
        assert (await Buyer(shop).ask(event, event.seats)).code == "seat_unavailable"
    finally:
        await ring.start("portal")

    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=30)


async def test_seats_lost_after_the_grace_give_the_money_back(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=1, hold_ttl_s=5, grace_s=0)
    await ring.stop_program("portal")
    try:
        late = await Buyer(shop).hold(event, event.seats)
        assert (await late.pay()).status == 201

        await wait_until(lambda: got_by_another(event), timeout_s=20)
    finally:
        await ring.start("portal")

    await wait_until(lambda: late.sale_is("FAILED"), timeout_s=30)
    order = await late.order()
    assert [payment["state"] for payment in order["payments"]] == ["VOIDED"]
    assert order["tickets"] == []
