"""The provider is slow, silent, gone, or says no at the wrong moment: nothing is charged twice, nothing is lost."""

import pytest

from billing.orders import rules as orders
from billing.orders.states import PaymentState
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import new_id


async def authorised(world: World) -> tuple[Sale, str]:
    sale = await world.placed()
    paid = await sale.pay()
    assert paid.status == 201
    return sale, paid.body["payment_id"]


async def confirmed_by_workers(world: World, sale: Sale) -> bool:
    await world.run("resolver", "capture", "void")
    return bool((await sale.order())["state"] == "CONFIRMED")


async def test_charged_without_an_answer_is_found_out_and_sold(world: World) -> None:
    sale = await world.placed()
    unknown = await sale.pay("tok_timeout_after_charge")
    assert (unknown.status, unknown.body["state"]) == (202, "STARTED")
    payment_id = unknown.body["payment_id"]
    await wait_until(lambda: world.run("resolver"))
    assert await sale.payment_states() == ["AUTHORIZED"]
    await sale.sold(payment_id)
    await world.run("capture")
    await sale.ends("CONFIRMED")
    assert len(await world.at_bank(payment_id)) == 1


async def test_an_error_without_a_charge_is_found_out_and_the_buyer_may_try_again(world: World) -> None:
    sale = await world.placed()
    unknown = await sale.pay("tok_error")
    assert unknown.status == 202
    await wait_until(lambda: world.run("resolver"))
    assert await sale.payment_states() == ["STARTED"]  # the request may still be on its way
    await world.age(unknown.body["payment_id"])
    await world.run("resolver")
    assert await sale.payment_states() == ["FAILED"]
    assert (await sale.pay()).status == 201


async def test_a_charge_that_arrives_after_we_gave_up_is_given_back(world: World) -> None:
    sale = await world.placed()
    unknown = await sale.pay("tok_error")
    payment_id = unknown.body["payment_id"]
    await world.age(payment_id)
    await world.run("resolver")
    await world.provider.authorize(reference=payment_id, amount_minor=5000, currency="EUR", card_token="tok_ok")
    await world.age(payment_id)
    await world.run("recheck-failed")
    assert [item["state"] for item in await world.at_bank(payment_id)] == ["voided"]
    await sale.released()
    await sale.ends("FAILED")


async def test_an_answer_that_comes_after_the_resolver_gave_up_is_voided(world: World) -> None:
    sale = await world.placed()
    await world.fault("authorize", "error")
    payment_id = (await sale.pay()).body["payment_id"]
    await world.age(payment_id)
    await world.run("resolver")
    late = await world.provider.authorize(reference=payment_id, amount_minor=5000, currency="EUR", card_token="tok_ok")
    async with world.pool.transaction() as conn:  # as the web process does when the answer comes at last
        await world.changes.apply(
            conn,
            sale.hold_id,
            lambda order: orders.authorized(order, payment_id),
            payment_id=payment_id,
            authorization_id=late.authorization_id,
        )
    await world.run("recheck-failed")
    assert [item["state"] for item in await world.at_bank(payment_id)] == ["voided"]


async def test_down_is_a_definite_no(world: World, provider_process: ProviderProcess) -> None:
    sale = await world.placed()
    provider_process.kill()
    try:
        refused = await sale.pay()
    finally:
        provider_process.start()
        await provider_process.ready()
    assert (refused.status, refused.code) == (503, "provider_unavailable")
    assert await sale.payment_states() == ["FAILED"]


@pytest.mark.parametrize("kind", ["error", "drop", "drop_after", "timeout_after"])
async def test_a_capture_that_goes_wrong_is_repeated_until_it_is_done_once(world: World, kind: str) -> None:
    sale, payment_id = await authorised(world)
    await world.fault("capture", kind, count=2)
    await sale.sold(payment_id)
    await wait_until(lambda: confirmed_by_workers(world, sale), timeout_s=20)
    await sale.ends("CONFIRMED")
    assert [item["captured_minor"] for item in await world.at_bank(payment_id)] == [5000]


@pytest.mark.parametrize("kind", ["error", "drop", "drop_after", "timeout_after"])
async def test_a_void_that_goes_wrong_is_repeated_until_it_is_done(world: World, kind: str) -> None:
    sale, payment_id = await authorised(world)
    await world.fault("void", kind, count=2)
    await sale.lost(payment_id)

    async def over() -> bool:
        await world.run("void")
        return await sale.payment_states() == [PaymentState.VOIDED]

    await wait_until(lambda: over(), timeout_s=20)
    await sale.ends("FAILED")


async def test_money_that_lapsed_before_the_capture_fails_the_order(world: World) -> None:
    sale, payment_id = await authorised(world)
    held = (await world.at_bank(payment_id))[0]
    await world.provider.void(held["authorization_id"], key=new_id())
    await sale.sold(payment_id)
    await world.run("capture", "void")
    await sale.ends("FAILED")
    assert (await sale.order())["reason"] == "capture_refused"


async def test_a_capture_that_was_done_unknown_to_us_is_believed(world: World) -> None:
    sale, payment_id = await authorised(world)
    held = (await world.at_bank(payment_id))[0]
    await world.provider.capture(held["authorization_id"], 5000, key=new_id())
    await sale.sold(payment_id)
    await world.run("capture")
    await sale.ends("CONFIRMED")


async def test_captured_money_of_lost_seats_is_refunded(world: World) -> None:
    sale, payment_id = await authorised(world)
    held = (await world.at_bank(payment_id))[0]
    await world.provider.capture(held["authorization_id"], 5000, key=new_id())
    await sale.lost(payment_id)
    await world.run("void")
    await sale.ends("FAILED")
    assert (await world.at_bank(payment_id))[0]["refunded_minor"] == 5000
