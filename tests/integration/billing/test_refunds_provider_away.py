"""The provider is away, says nothing, forgets, or refuses: the money goes back once, or a person is asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Authorization
from billing.providers.stripe import StripeProvider
from billing.settings import DatabaseSettings
from billing.store import refund_work
from tests.integration.billing.refunding import PRICE_MINOR, Office
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import OrderRefunded, new_id
from ticketflow.runtime.mariadb import execute

TOTAL = 2 * PRICE_MINOR


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    async with Office.opened(world) as opened:
        yield opened


async def refunds_at_bank(world: World, sale: Sale) -> int:
    (payment,) = (await sale.order())["payments"]
    return sum(item["refunded_minor"] for item in await world.at_bank(payment["payment_id"]))


async def a_refused_one(world: World, office: Office) -> Sale:
    """422 from the provider, and by its own word nothing has been given back."""
    sale = await office.paid()
    await world.fault("refund", "refuse")
    refund = await office.refunded(sale)
    assert (refund["state"], refund["detail"]) == ("REFUSED", "fault")
    return sale


async def test_refused(world: World, office: Office) -> None:
    sale = await a_refused_one(world, office)
    order = await sale.order()
    assert (order["state"], order["refunded_minor"], order["refunds"][0]["state"]) == ("CONFIRMED", 0, "REFUSED")
    assert all(ticket["voided"] for ticket in order["tickets"])
    assert order["history"][-1]["code"] == "refund_refused"
    assert await office.worker.run_once() == 0
    await office.books_are_sound()


async def test_refused_and_tried_again(world: World, office: Office) -> None:
    sale = await a_refused_one(world, office)
    (refund,) = await office.of(sale)
    for _ in range(2):
        told = await office.post(f"/refunds/{refund['refund_id']}/retry")
        assert (told.status, told.body["state"]) == (202, "REQUESTED")
    await office.settled(sale)
    assert (await sale.order())["state"] == "REFUNDED"
    assert await refunds_at_bank(world, sale) == TOTAL
    await office.books_are_sound()


async def test_refused_and_given_as_credits(world: World, office: Office) -> None:
    sale = await a_refused_one(world, office)
    (refund,) = await office.of(sale)
    for _ in range(2):
        told = await office.post(f"/refunds/{refund['refund_id']}/as-credits")
        assert (told.status, told.body["state"]) == (200, "REFUNDED")
        assert (told.body["card_minor"], told.body["credits_minor"]) == (0, TOTAL)
    assert await office.wallet_minor() == TOTAL
    order = await sale.order()
    assert (order["state"], await office.kept_at_bank(sale)) == ("REFUNDED", TOTAL)
    assert "as credits" in order["history"][-2]["text"]
    told = await office.post(f"/refunds/{refund['refund_id']}/retry")
    assert told.body["state"] == "REFUNDED"
    assert await office.worker.run_once() == 0
    await office.books_are_sound()


async def test_refused_and_done_after_all_before_credits_are_given(world: World, office: Office) -> None:
    """By hand, on the provider's own page: then no credits are given as well."""
    sale = await a_refused_one(world, office)
    (payment,), (refund,) = (await sale.order())["payments"], await office.of(sale)
    (held,) = await world.at_bank(payment["payment_id"])
    await world.provider.refund(held["authorization_id"], TOTAL, key=new_id())
    told = await office.post(f"/refunds/{refund['refund_id']}/as-credits")
    assert (told.status, told.body["card_minor"], told.body["credits_minor"]) == (200, TOTAL, 0)
    assert await office.wallet_minor() == 0
    assert await office.kept_at_bank(sale) == 0
    await office.books_are_sound()


async def test_no_credits_while_the_provider_cannot_be_asked(world: World, office: Office) -> None:
    sale = await a_refused_one(world, office)
    (refund,) = await office.of(sale)
    await world.fault("fetch", "error")
    told = await office.post(f"/refunds/{refund['refund_id']}/as-credits")
    assert (told.status, told.code) == (503, "provider_unavailable")
    assert (await office.states(sale), await office.wallet_minor()) == (["REFUSED"], 0)


async def test_no_credits_while_another_refund_of_the_payment_is_under_way(world: World, office: Office) -> None:
    """What the provider says about one of them could be meant for the other."""
    sale = await office.paid()
    first, second = [ticket["ticket_id"] for ticket in (await sale.order())["tickets"]]
    await world.fault("refund", "refuse")
    refused = await office.refunded(sale, tickets=[first])
    await world.fault("refund", "timeout_after")
    await office.refund(sale, tickets=[second])
    await office.worker.run_once()
    assert await refunds_at_bank(world, sale) == PRICE_MINOR
    told = await office.post(f"/refunds/{refused['refund_id']}/as-credits")
    assert (told.status, told.code) == (409, "refund_in_progress")
    await office.settled(sale)
    told = await office.post(f"/refunds/{refused['refund_id']}/as-credits")
    assert (told.status, told.body["credits_minor"]) == (200, PRICE_MINOR)
    assert (await office.wallet_minor(), await office.kept_at_bank(sale)) == (PRICE_MINOR, PRICE_MINOR)
    await office.books_are_sound()


async def test_a_refusal_of_what_has_been_done_is_a_success(world: World, office: Office) -> None:
    sale = await office.paid()
    (payment,) = (await sale.order())["payments"]
    (held,) = await world.at_bank(payment["payment_id"])
    await world.provider.refund(held["authorization_id"], TOTAL, key=new_id())
    refund = await office.refunded(sale)
    assert (refund["state"], refund["card_minor"]) == ("REFUNDED", TOTAL)
    assert await refunds_at_bank(world, sale) == TOTAL
    await office.books_are_sound()


@pytest.mark.parametrize("kind", ["error", "rate_limit", "drop", "error_after", "drop_after"])
async def test_whatever_goes_wrong_it_is_done_once(world: World, office: Office, kind: str) -> None:
    sale = await office.paid()
    await world.fault("refund", kind, count=2)
    refund = await office.refunded(sale, amount_minor=3000)
    assert (refund["state"], await refunds_at_bank(world, sale)) == ("REFUNDED", 3000)
    assert len([one for one in await world.staged(sale.hold_id) if isinstance(one, OrderRefunded)]) == 1
    await office.books_are_sound()


async def test_done_without_an_answer_by_a_provider_that_forgets_keys(
    world: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when we were away for longer than the provider keeps keys: here each call gets one of its own."""
    calls, refund = [], world.provider.refund

    async def forgetful(authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        calls.append(key)
        return await refund(authorization_id, amount_minor, key=f"{key}:{len(calls)}")

    monkeypatch.setattr(world.provider, "refund", forgetful)
    sale = await office.paid()
    first, second = [ticket["ticket_id"] for ticket in (await sale.order())["tickets"]]
    await world.fault("refund", "timeout_after")
    await office.refund(sale, tickets=[first])
    await office.refund(sale, tickets=[second])
    await office.settled(sale)
    assert await refunds_at_bank(world, sale) == TOTAL
    assert len(calls) == 2
    assert (await sale.order())["state"] == "REFUNDED"
    await office.books_are_sound()


async def test_refunds_of_one_payment_go_one_after_the_other(world: World, office: Office) -> None:
    sale = await office.paid(seats=3)
    for ticket in (await sale.order())["tickets"]:
        await office.refund(sale, tickets=[ticket["ticket_id"]])
    async with world.pool.acquire() as conn:
        assert (await refund_work.waiting(conn))["REQUESTED"][0] == 3
    await world.fault("refund", "error", count=2)

    async def all_done() -> bool:
        await office.due_now()
        await asyncio.gather(*(office.worker.run_once() for _ in range(3)))
        refunds = await office.of(sale)
        states = [one["state"] for one in refunds]
        assert states == sorted(states)  # REFUNDED before REQUESTED: the oldest first
        assert [one["attempts"] > 0 for one in refunds if one["state"] == "REQUESTED"][1:].count(True) == 0
        return set(states) == {"REFUNDED"}

    await wait_until(all_done, timeout_s=60)
    assert await refunds_at_bank(world, sale) == 3 * PRICE_MINOR
    await office.books_are_sound()


async def test_a_refused_one_does_not_hold_up_the_next(world: World, office: Office) -> None:
    sale = await office.paid()
    first, second = [ticket["ticket_id"] for ticket in (await sale.order())["tickets"]]
    await world.fault("refund", "refuse")
    await office.refunded(sale, tickets=[first])
    await office.refunded(sale, tickets=[second])
    assert await office.states(sale) == ["REFUSED", "REFUNDED"]
    assert (await sale.order())["state"] == "PARTIALLY_REFUNDED"
    (refused, _) = await office.of(sale)
    await office.post(f"/refunds/{refused['refund_id']}/retry")
    await office.settled(sale)
    assert (await sale.order())["state"] == "REFUNDED"
    assert await refunds_at_bank(world, sale) == TOTAL
    await office.books_are_sound()


async def test_a_payment_of_another_provider_waits(world: World, office: Office) -> None:
    sale = await office.paid()
    async with world.pool.transaction() as conn:
        await execute(conn, "UPDATE payments SET provider = 'stripe' WHERE order_id = %s", (sale.hold_id,))
    await office.refund(sale)
    await office.worker.run_once()
    (refund,) = await office.of(sale)
    assert refund["state"] == "REQUESTED"
    assert refund["detail"] == "the payment is stripe's, and sandbox is set up"
    async with world.pool.transaction() as conn:
        await execute(conn, "UPDATE payments SET provider = 'sandbox' WHERE order_id = %s", (sale.hold_id,))
    await office.settled(sale)
    assert await refunds_at_bank(world, sale) == TOTAL


async def test_a_refund_that_our_code_cannot_handle_does_not_stop_the_others(
    world: World, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await office.paid(), await office.paid()
    refund, told = world.provider.refund, await office.refund(bad)

    async def broken(authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        if key == told.body["refund_id"]:
            raise KeyError("a bug")
        return await refund(authorization_id, amount_minor, key=key)

    monkeypatch.setattr(world.provider, "refund", broken)
    await office.refunded(good)
    assert await office.states(bad) == ["REQUESTED"]
    monkeypatch.undo()
    await office.settled(bad)
    assert (await bad.order())["state"] == "REFUNDED"


@pytest.mark.parametrize("adapter", ["stripe", "mercadopago"])
@pytest.mark.parametrize("kind", [None, "error", "drop_after"])
async def test_with_every_provider(
    billing_database: DatabaseSettings, provider_ready: ProviderProcess, adapter: str, kind: str | None
) -> None:
    url = provider_ready.url
    provider: StripeProvider | MercadoPagoProvider = (
        StripeProvider(f"{url}/stripe", PROVIDER_KEY, timeout_s=3)
        if adapter == "stripe"
        else MercadoPagoProvider(f"{url}/mercadopago", PROVIDER_KEY, currency="EUR", payer_email="a@shop", timeout_s=3)
    )
    async with (
        World.opened(billing_database, url, PROVIDER_KEY, provider) as world,
        Office.opened(world) as office,
    ):
        sale = await world.placed()
        paid = await sale.pay("visa:tok_ok" if adapter == "mercadopago" else "tok_ok")
        await sale.sold(paid.body["payment_id"])
        await wait_until(lambda: world.run("capture"))
        first, _ = [ticket["ticket_id"] for ticket in (await sale.order())["tickets"]]
        if kind is not None:
            await world.fault("refund", kind)
        await office.refunded(sale, tickets=[first], amount_minor=2000)
        assert await refunds_at_bank(world, sale) == 2000
        await office.refunded(sale)
        assert await refunds_at_bank(world, sale) == 4500
        assert (await sale.order())["state"] == "PARTIALLY_REFUNDED"
        await office.books_are_sound()
