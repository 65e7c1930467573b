"""The same sales with Stripe and Mercado Pago behind the port: nobody else in billing can tell the difference."""

from collections.abc import AsyncIterator

import pytest

from billing.orders.states import PaymentState
from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Provider
from billing.providers.stripe import StripeProvider
from billing.settings import DatabaseSettings
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import new_id

TIMEOUT_S = 3  # of a call; each test that has the provider fall silent lasts that long


@pytest.fixture(params=["stripe", "mercadopago"])
async def world(
    request: pytest.FixtureRequest, billing_database: DatabaseSettings, provider_ready: ProviderProcess
) -> AsyncIterator[World]:
    url = provider_ready.url
    provider: Provider = (
        StripeProvider(f"{url}/stripe", PROVIDER_KEY, timeout_s=TIMEOUT_S)
        if request.param == "stripe"
        else MercadoPagoProvider(
            f"{url}/mercadopago", PROVIDER_KEY, currency="EUR", payer_email="tickets@shop", timeout_s=TIMEOUT_S
        )
    )
    async with World.opened(billing_database, url, PROVIDER_KEY, provider) as opened:
        yield opened


def card(world: World, token: str = "tok_ok") -> str:
    return f"visa:{token}" if world.provider.name == "mercadopago" else token


async def authorised(world: World) -> tuple[Sale, str]:
    sale = await world.placed()
    paid = await sale.pay(card(world))
    assert paid.status == 201, paid.body
    return sale, str(paid.body["payment_id"])


async def confirmed(world: World, sale: Sale) -> bool:
    await world.run("resolver", "capture", "void")
    return bool((await sale.order())["state"] == "CONFIRMED")


async def voided(world: World, sale: Sale) -> bool:
    await world.run("void")
    return await sale.payment_states() == [PaymentState.VOIDED]


async def test_a_sale(world: World) -> None:
    sale, payment_id = await authorised(world)
    await sale.sold(payment_id, again=True)
    await wait_until(lambda: confirmed(world, sale))
    await sale.ends("CONFIRMED")


async def test_a_declined_card_and_then_a_good_one(world: World) -> None:
    sale = await world.placed()
    declined = await sale.pay(card(world, "tok_insufficient"))
    assert (declined.status, declined.code) == (402, "card_declined")
    paid = await sale.pay(card(world))
    await sale.sold(paid.body["payment_id"])
    await wait_until(lambda: confirmed(world, sale))
    await sale.ends("CONFIRMED")


async def test_charged_without_an_answer_is_found_out_and_sold(world: World) -> None:
    sale = await world.placed()
    unknown = await sale.pay(card(world, "tok_timeout_after_charge"))
    assert (unknown.status, unknown.body["state"]) == (202, "STARTED")
    payment_id = unknown.body["payment_id"]
    await wait_until(lambda: world.run("resolver"))
    await wait_until(lambda: sale.has("payment_authorized"))
    await sale.sold(payment_id)
    await wait_until(lambda: confirmed(world, sale))
    await sale.ends("CONFIRMED")
    assert len(await world.at_bank(payment_id)) == 1


@pytest.mark.parametrize("kind", ["error", "drop_after", "rate_limit"])
async def test_a_capture_that_goes_wrong_is_repeated_until_it_is_done_once(world: World, kind: str) -> None:
    sale, payment_id = await authorised(world)
    await world.fault("capture", kind, count=2)
    await sale.sold(payment_id)
    await wait_until(lambda: confirmed(world, sale))
    assert [item["captured_minor"] for item in await world.at_bank(payment_id)] == [5000]


async def test_lost_seats_set_the_money_free(world: World) -> None:
    sale, payment_id = await authorised(world)
    await sale.lost(payment_id)
    await wait_until(lambda: voided(world, sale))
    await sale.ends("FAILED")


async def test_captured_money_of_lost_seats_is_refunded(world: World) -> None:
    sale, payment_id = await authorised(world)
    held = await world.provider.fetch(payment_id)
    assert held is not None
    await world.provider.capture(held.authorization_id, 5000, key=new_id())
    await sale.lost(payment_id)
    await wait_until(lambda: voided(world, sale))
    await sale.ends("FAILED")
    assert [item["refunded_minor"] for item in await world.at_bank(payment_id)] == [5000]
