"""Webhooks and our own calls about the same money, at once and in any order: one effect."""

import asyncio
import random

import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.hooked import PROVIDERS, HookedWorld, adapter, redirected
from tests.integration.billing.world import Sale
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute

every_provider = pytest.mark.parametrize("hooked", PROVIDERS, indirect=True)


async def told_once(world: HookedWorld, sale: Sale) -> None:
    """Each event of the order was told to the other services once."""
    kinds = [payload.kind for payload in await world.staged(sale.hold_id)]
    assert len(kinds) == len(set(kinds)), kinds


async def confirmed(world: HookedWorld, sale: Sale) -> bool:
    await world.run("webhooks", "capture")
    state = (await sale.order())["state"]
    assert state == "CONFIRMED", state
    return True


@every_provider
async def test_the_webhook_comes_while_our_own_call_still_waits_for_its_answer(hooked: HookedWorld) -> None:
    sale, key = await hooked.placed(), new_id()
    async with hooked.thinking() as answer:
        paying = asyncio.create_task(sale.pay(hooked.card(), key=key))
        await wait_until(hooked.webhooks)
        await wait_until(hooked.applied)
        assert await sale.payment_states() == ["AUTHORIZED"]
        answer()
        paid = await paying
    assert (paid.status, paid.body["state"]) == (201, "AUTHORIZED")
    assert (await sale.pay(hooked.card(), key=key)).body == paid.body
    await sale.sold(paid.body["payment_id"])
    await wait_until(lambda: confirmed(hooked, sale))
    await sale.ends("CONFIRMED")
    await told_once(hooked, sale)


@every_provider
async def test_a_decline_is_told_before_our_own_call_has_heard_of_it(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    async with hooked.thinking() as answer:
        paying = asyncio.create_task(sale.pay(hooked.card("tok_declined")))
        await wait_until(hooked.webhooks)
        await wait_until(hooked.applied)
        answer()
        told = await paying
    assert (told.status, told.code) == (402, "card_declined")
    assert await sale.payment_states() == ["DECLINED"]
    await told_once(hooked, sale)


async def test_an_answer_that_never_came_is_found_out_by_the_webhook(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    paid = await sale.pay("tok_timeout_after_charge")
    assert (paid.status, paid.body["state"]) == (202, "STARTED")
    await wait_until(hooked.webhooks)
    await wait_until(hooked.applied)
    assert await sale.payment_states() == ["AUTHORIZED"]
    assert len(await hooked.at_bank(paid.body["payment_id"])) == 1
    await told_once(hooked, sale)


@every_provider
async def test_two_listeners_two_resolvers_and_repeated_webhooks_at_once(
    hooked: HookedWorld, billing_database: DatabaseSettings, sandbox: ProviderProcess
) -> None:
    provider = adapter(hooked.provider.name, sandbox.url)
    async with HookedWorld.opened(billing_database, sandbox.url, PROVIDER_KEY, provider) as other:
        await hooked.manners(repeats=2)
        sales = [await hooked.placed() for _ in range(4)]
        begun = [await redirected(sale) for sale in sales]
        await asyncio.gather(*(hooked.on_the_page(page) for _, page in begun))
        for payment_id, _ in begun:
            await hooked.age(payment_id, 0)

        async def all_authorised() -> bool:
            await asyncio.gather(*(one.run(name) for one in (hooked, other) for name in ("webhooks", "resolver")))
            return all([await sale.payment_states() == ["AUTHORIZED"] for sale in sales])

        await wait_until(all_authorised)
        for sale, (payment_id, _) in zip(sales, begun, strict=True):
            await sale.sold(payment_id)
        await asyncio.gather(*(one.run(name) for one in (hooked, other) for name in ("webhooks", "capture")))
        for sale in sales:
            await wait_until(lambda sale=sale: confirmed(hooked, sale))  # type: ignore[misc]
            await sale.ends("CONFIRMED")
            await told_once(hooked, sale)
        await wait_until(hooked.all_sent)
        await wait_until(hooked.applied)
        await hooked.ledger_is_sound()


@every_provider
async def test_any_order_any_number_of_times(hooked: HookedWorld) -> None:
    """The whole walk's webhooks are kept back and then sent shuffled, repeated, and all of them once more."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    await hooked.manners(paused=True)
    sold, lost, away = [await hooked.placed() for _ in range(3)]
    for sale in (sold, lost):
        paid = await sale.pay(hooked.card())
        await (sale.sold if sale is sold else sale.lost)(paid.body["payment_id"])
    await wait_until(lambda: confirmed(hooked, sold))
    await hooked.run("void")
    payment_id, page = await redirected(away)
    await hooked.on_the_page(page, "tok_declined")
    await hooked.on_the_page(page)
    await hooked.manners(order="shuffled", seed=dice.randrange(1000), repeats=dice.randrange(3))
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    await hooked.sent_again()
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    await away.sold(payment_id)
    await wait_until(lambda: confirmed(hooked, away))
    await sold.ends("CONFIRMED")
    await lost.ends("FAILED")
    await away.ends("CONFIRMED")
    for sale in (sold, lost, away):
        await told_once(hooked, sale)
    await hooked.ledger_is_sound()


async def test_a_webhook_about_nothing_of_ours_waits_and_is_applied_when_it_is(hooked: HookedWorld) -> None:
    """As when the store has lost its last commits, and they come back."""
    sale = await hooked.placed()
    payment_id, page = await redirected(sale)
    hidden = await _hidden(hooked, payment_id)
    await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)
    for _ in range(3):
        await hooked.due_now("webhooks")
        assert await hooked.run("webhooks") == 1
    (waits,) = await hooked.webhooks()
    assert (waits["state"], waits["attempts"], waits["detail"]) == ("UNMATCHED", 3, "it names nothing of ours")
    await _found_again(hooked, payment_id, hidden)
    await hooked.due_now("webhooks")
    await wait_until(hooked.applied)
    assert await sale.payment_states() == ["AUTHORIZED"]


async def test_one_that_is_never_about_anything_of_ours_is_given_up_and_kept(hooked: HookedWorld) -> None:
    await hooked.provider.authorize(reference=new_id(), amount_minor=5, currency="EUR", card_token="tok_ok")
    await hooked.provider.authorize(reference="another-shop", amount_minor=5, currency="EUR", card_token="tok_ok")
    await wait_until(hooked.all_sent)
    async with hooked.pool.transaction() as conn:
        await execute(conn, "UPDATE webhooks SET received_at = received_at - INTERVAL 3 DAY")
    await hooked.run("webhooks")
    assert [(row["state"], row["due_at"]) for row in await hooked.webhooks()] == [("UNMATCHED", None)] * 2
    await hooked.sent_again()  # the provider may still change that
    await wait_until(hooked.all_sent)
    assert await hooked.run("webhooks") == 2


@every_provider
async def test_while_the_provider_cannot_be_asked_a_webhook_waits(
    hooked: HookedWorld, sandbox: ProviderProcess
) -> None:
    sale = await hooked.placed()
    _, page = await redirected(sale)
    await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)
    sandbox.kill()
    await hooked.run("webhooks")
    assert {row["state"] for row in await hooked.webhooks()} == {"RECEIVED"}
    assert await sale.payment_states() == ["STARTED"]
    sandbox.start()
    await sandbox.ready()
    await wait_until(hooked.applied)
    assert await sale.payment_states() == ["AUTHORIZED"]


async def test_money_that_a_search_does_not_find_is_known_by_its_webhook(
    hooked: HookedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it must go back."""
    sale, replaced = await hooked.placed(), await hooked.placed()
    for one in (sale, replaced):
        _, page = await redirected(one)
        await hooked.on_the_page(page) if one is sale else None
        if one is replaced:
            await one.pay()
            await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)

    async def nothing(reference: str) -> list[object]:
        return []

    async def not_there(reference: str) -> None:
        return None

    monkeypatch.setattr(hooked.provider, "fetch", not_there)
    monkeypatch.setattr(hooked.provider, "fetch_all", nothing)
    await wait_until(hooked.applied)
    monkeypatch.undo()
    assert await sale.payment_states() == ["AUTHORIZED"]
    assert await replaced.payment_states() == ["FAILED", "AUTHORIZED"]
    page_payment = (await replaced.order())["payments"][0]["payment_id"]
    assert await hooked.kept_minor(page_payment) == 0


async def test_a_webhook_that_our_code_cannot_handle_does_not_stop_the_others(
    hooked: HookedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await hooked.placed(), await hooked.placed()
    pages = [await redirected(sale) for sale in (bad, good)]
    for _, page in pages:
        await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)
    read, broken_at = hooked.provider.read, (await hooked.at_bank(pages[0][0]))[0]["authorization_id"]

    async def broken(authorization_id: str) -> object:
        if authorization_id == broken_at:
            raise KeyError("a bug")
        return await read(authorization_id)

    monkeypatch.setattr(hooked.provider, "read", broken)
    assert await hooked.run("webhooks") == 2
    assert await good.payment_states() == ["AUTHORIZED"]
    assert await bad.payment_states() == ["STARTED"]
    assert sorted(row["state"] for row in await hooked.webhooks()) == ["APPLIED", "RECEIVED"]
    monkeypatch.undo()
    await hooked.due_now("webhooks")
    await wait_until(hooked.applied)
    assert await bad.payment_states() == ["AUTHORIZED"]


async def test_webhooks_of_a_provider_that_is_no_longer_set_up_wait(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    _, page = await redirected(sale)
    await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)
    async with hooked.pool.transaction() as conn:
        await execute(conn, "UPDATE webhooks SET provider = 'stripe'")
    await hooked.run("webhooks")
    (waits,) = await hooked.webhooks()
    assert (waits["state"], waits["detail"]) == ("RECEIVED", "it is stripe's, and sandbox is set up")


async def _hidden(world: HookedWorld, payment_id: str) -> str:
    """The payment as if it had never been stored; what it is called meanwhile."""
    other = new_id()
    async with world.pool.transaction() as conn:
        await execute(conn, "UPDATE payments SET payment_id = %s WHERE payment_id = %s", (other, payment_id))
    return other


async def _found_again(world: HookedWorld, payment_id: str, hidden: str) -> None:
    async with world.pool.transaction() as conn:
        await execute(conn, "UPDATE payments SET payment_id = %s WHERE payment_id = %s", (payment_id, hidden))
