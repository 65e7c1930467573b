"""What reservation says about the hold, at every moment of a payment."""

import asyncio

from tests.integration.billing.world import World
from tests.support.waiting import wait_until
from ticketflow.events import HoldLost, HoldSold, OrderFailed, PaymentVoided, envelope_for, new_id


async def test_lost_seats_give_the_money_back(world: World) -> None:
    sale = await world.placed()
    paid = await sale.pay()
    await sale.lost(paid.body["payment_id"], "taken")
    assert (await sale.order())["state"] == "PENDING"
    assert (await sale.pay()).code == "payment_in_progress"
    await world.run("void")
    await sale.ends("FAILED")
    assert (await sale.order())["reason"] == "taken"
    voided, failed = (await world.staged(sale.hold_id))[-2:]
    assert isinstance(voided, PaymentVoided)
    assert isinstance(failed, OrderFailed)
    assert (voided.reason, failed.reason) == ("taken", "taken")


async def test_a_hold_that_expires_under_an_authorised_payment_may_still_be_sold(world: World) -> None:
    sale = await world.placed()
    paid = await sale.pay()
    await sale.expired()
    assert (await sale.order())["state"] == "PENDING"
    await sale.sold(paid.body["payment_id"])
    await world.run("capture")
    await sale.ends("CONFIRMED")


async def test_a_hold_released_under_an_authorised_payment_is_voided_when_it_is_lost(world: World) -> None:
    sale = await world.placed()
    paid = await sale.pay()
    await sale.released()
    await sale.lost(paid.body["payment_id"], "released")
    await world.run("void")
    await sale.ends("FAILED")


async def test_a_hold_that_ends_while_the_provider_thinks(world: World) -> None:
    sale = await world.placed()
    async with world.thinking() as answer:
        paying = asyncio.create_task(sale.pay())
        await wait_until(lambda: sale.has("payment_started"))
        await sale.released()
        assert (await sale.order())["state"] == "PENDING"
        answer()
        paid = await paying
    assert paid.status == 201
    await sale.lost(paid.body["payment_id"], "released")
    await world.run("void")
    await sale.ends("FAILED")


async def test_a_hold_that_ends_before_the_card_is_declined(world: World) -> None:
    sale = await world.placed()
    async with world.thinking() as answer:
        paying = asyncio.create_task(sale.pay("tok_declined"))
        await wait_until(lambda: sale.has("payment_started"))
        await sale.expired()
        answer()
        assert (await paying).code == "card_declined"
    await sale.ends("FAILED")
    assert (await sale.order())["reason"] == "expired"


async def test_repeated_events_have_one_effect(world: World) -> None:
    sale = await world.placed()
    await world.feed(sale.event(sale.hold), again=True)  # another event about the same hold
    paid = await sale.pay()
    await sale.expired(again=True)
    await sale.sold(paid.body["payment_id"], again=True)
    await sale.sold(paid.body["payment_id"])
    await world.run("capture", "capture")
    await sale.sold(paid.body["payment_id"], again=True)
    await sale.ends("CONFIRMED")
    assert len(await sale.codes()) == len(set(await sale.codes()))
    kinds = [payload.kind for payload in await world.staged(sale.hold_id)]
    assert len(kinds) == len(set(kinds))


async def test_an_event_about_a_hold_that_never_came_is_parked(world: World) -> None:
    hold_id = new_id()
    lost = HoldLost(hold_id=hold_id, payment_id=new_id(), reason="taken")
    await world.feed(envelope_for(lost, key=hold_id, correlation_id="c"))
    parked = await world.rows("SELECT reason, event_key FROM delivery_parked")
    assert parked == [{"reason": "poison", "event_key": hold_id}]
    other = await world.placed()
    assert (await other.order())["state"] == "PENDING"


async def test_two_stores_that_disagree_are_written_down(world: World) -> None:
    sale = await world.placed()
    declined = await sale.pay("tok_declined")
    assert declined.status == 402
    payment_id = (await sale.order())["payments"][0]["payment_id"]
    await world.feed(sale.event(HoldSold(hold_id=sale.hold_id, payment_id=payment_id, sold_at_us=1)))
    assert (await sale.codes())[-1] == "contradiction"
    assert await sale.payment_states() == ["DECLINED"]
