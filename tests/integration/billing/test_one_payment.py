"""The walk of one payment, and the ways in which the buyer's side of it goes wrong."""

import asyncio

from billing.payments.arriving import Arrivals
from tests.integration.billing.world import Sale, World
from tests.support.waiting import wait_until
from ticketflow.events import OrderFailed, PaymentAuthorized, PaymentDeclined, TicketIssued, new_id


async def test_authorise_settle_capture(world: World) -> None:
    sale = await world.placed(seats=2)
    paid = await sale.pay()
    assert (paid.status, paid.body["state"], paid.body["amount_minor"]) == (201, "AUTHORIZED", 5000)
    await sale.sold(paid.body["payment_id"])
    await world.run("capture")
    await sale.ends("CONFIRMED")
    assert [ticket["label"] for ticket in (await sale.order())["tickets"]] == ["A-1", "A-2"]
    assert await sale.codes() == [
        "order_pending",
        "payment_started",
        "payment_authorized",
        "seats_sold",
        "payment_captured",
        "tickets_issued",
        "order_confirmed",
    ]


async def test_every_effect_tells_the_other_services_in_its_own_transaction(world: World) -> None:
    sale = await world.placed(seats=2)
    paid = await sale.pay()
    await sale.sold(paid.body["payment_id"])
    await world.run("capture")
    staged = await world.staged(sale.hold_id)
    assert [payload.kind for payload in staged] == [
        "order.pending",
        "payment.authorized",
        "ticket.issued",
        "order.confirmed",
    ]
    authorized, issued = staged[1], staged[2]
    assert isinstance(authorized, PaymentAuthorized)
    assert authorized.started_at_us < sale.hold.expires_at_us
    assert (authorized.amount_minor, authorized.payment_id) == (5000, paid.body["payment_id"])
    assert isinstance(issued, TicketIssued)
    assert {t.unit_id for t in issued.tickets} == {line.unit_id for line in sale.hold.lines}


async def test_a_declined_card_leaves_the_order_to_the_next_card(world: World) -> None:
    sale = await world.placed()
    declined = await sale.pay("tok_insufficient")
    assert (declined.status, declined.code) == (402, "card_declined")
    assert declined.headers["Content-Type"].startswith("application/problem+json")
    paid = await sale.pay()
    await sale.sold(paid.body["payment_id"])
    await world.run("capture")
    await sale.ends("CONFIRMED")
    told = [payload for payload in await world.staged(sale.hold_id) if isinstance(payload, PaymentDeclined)]
    assert [payload.reason for payload in told] == ["insufficient_funds"]


async def test_a_payment_that_outruns_its_order_is_told_to_wait(world: World) -> None:
    early = Sale(world, new_id(), 1, 60)
    told = await early.pay()
    assert (told.status, told.code, told.headers["Retry-After"]) == (409, "order_not_yet", "1")
    key = new_id()
    await early.pay(key=key)
    await world.feed(early.event(early.hold))
    assert (await early.pay(key=key)).status == 201


async def test_a_payment_waits_a_moment_for_an_order_that_is_on_its_way(world: World) -> None:
    early = Sale(world, new_id(), 1, 60)
    world.arrivals.wait_s = 30
    paying = asyncio.create_task(early.pay())
    await wait_until(lambda: world.arrivals.waiting == 1)
    await world.feed(early.event(early.hold))
    assert (await paying).status == 201


async def test_with_many_waiting_the_next_one_is_told_at_once(world: World) -> None:
    arrivals = Arrivals(world.pool, wait_s=60, waiting_max=1)
    first = Sale(world, new_id(), 1, 60)
    waiting = asyncio.create_task(arrivals.arrived(first.hold_id))
    await asyncio.sleep(0)
    assert not await arrivals.arrived(first.hold_id)
    await world.feed(first.event(first.hold))
    assert await waiting


async def test_without_the_holds_token_nothing_is_told(world: World) -> None:
    sale, nowhere = await world.placed(), Sale(world, new_id(), 1, 60)
    answers = [
        await sale.pay(headers={}),
        await sale.pay(headers={"X-Hold-Token": "wrong"}),
        await sale.pay(headers=nowhere.headers),
        await nowhere.pay(headers={"X-Hold-Token": "wrong"}),
    ]
    assert [(answer.status, answer.code) for answer in answers] == [
        (401, "hold_token_missing"),
        (403, "hold_token_wrong"),
        (403, "hold_token_wrong"),
        (404, "order_unknown"),
    ]


async def test_a_payment_after_the_holds_time_is_refused(world: World) -> None:
    sale = await world.placed(lasts_s=-1)
    refused = await sale.pay()
    assert (refused.status, refused.code) == (410, "hold_expired")
    assert await sale.payment_states() == []


async def test_a_paid_order_and_a_failed_one_take_no_more_money(world: World) -> None:
    paid_for = await world.placed()
    paid = await paid_for.pay()
    await paid_for.sold(paid.body["payment_id"])
    await world.run("capture")
    assert (await paid_for.pay()).code == "order_confirmed"
    failed = await world.placed()
    await failed.released()
    assert (await failed.pay()).code == "order_failed"
    assert isinstance((await world.staged(failed.hold_id))[-1], OrderFailed)


async def test_of_two_payments_at_once_one_begins(world: World) -> None:
    for _ in range(5):
        sale = await world.placed(seats=1)
        answers = await asyncio.gather(*(sale.pay() for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
        assert {answer.code for answer in answers if answer.status == 409} == {"payment_in_progress"}
        assert await sale.payment_states() == ["AUTHORIZED"]


async def test_the_holder_of_a_body_that_is_none_is_told_why(world: World) -> None:
    sale = await world.placed()
    url = f"{world.base}/api/v1/orders/{sale.hold_id}/payments"
    headers = sale.headers | {"Idempotency-Key": new_id()}
    for body in ({"card_token": ""}, {"card_token": 5}, {}, {"method": "gold", "card_token": "tok_ok"}):
        async with world.http.post(url, json=body, headers=headers) as response:
            assert response.status == 422
            assert (await response.json(content_type=None))["code"] == "bad_body"
    async with world.http.post(url, json={"card_token": "tok_ok"}, headers=sale.headers) as response:
        assert (await response.json(content_type=None))["code"] == "idempotency_key_missing"
