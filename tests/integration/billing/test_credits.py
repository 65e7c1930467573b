"""Paying with credits, alone or beside a card or a page: never the same credit twice, and none lost."""

import asyncio
import random

import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.hooked import HookedWorld, Wallet, adapter, pay, redirected
from tests.integration.billing.world import Sale
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import new_id


@pytest.fixture
async def anna(hooked: HookedWorld) -> Wallet:
    return hooked.buyer("anna")


async def confirmed(world: HookedWorld, sale: Sale) -> bool:
    await world.run("webhooks", "resolver", "capture")
    state = (await sale.order())["state"]
    assert state == "CONFIRMED", state
    return True


async def voided(world: HookedWorld, sale: Sale) -> bool:
    await world.run("void")
    states = await sale.payment_states()
    assert states == ["VOIDED"], states
    return True


async def test_credits_alone_pay_without_the_provider(
    hooked: HookedWorld, anna: Wallet, sandbox: ProviderProcess
) -> None:
    await anna.given(8000)
    sale = await hooked.placed(buyer_id="anna")
    sandbox.kill()
    paid = await anna.pay(sale)
    assert (paid.status, paid.body["state"], paid.body["credits_minor"]) == (201, "AUTHORIZED", 5000)
    assert await anna.has() == (3000, 5000)
    await sale.sold(paid.body["payment_id"])
    await wait_until(lambda: confirmed(hooked, sale))
    assert await anna.has() == (3000, 0)
    order = await sale.order()
    assert (order["payments"][0]["method"], len(order["tickets"])) == ("credits", 2)
    await hooked.ledger_is_sound()
    sandbox.start()
    await sandbox.ready()


async def test_lost_seats_give_credits_back(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(5000)
    sale = await hooked.placed(buyer_id="anna")
    paid = await anna.pay(sale)
    await sale.lost(paid.body["payment_id"])
    await wait_until(lambda: voided(hooked, sale))
    assert (await sale.order())["state"] == "FAILED"
    assert await anna.has() == (5000, 0)
    await hooked.ledger_is_sound()


async def test_a_card_pays_what_credits_do_not(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(2000)
    sale = await hooked.placed(buyer_id="anna")
    paid = await anna.pay(sale, "card", card_token="tok_ok", credits_minor=1200)
    assert (paid.status, paid.body["amount_minor"], paid.body["credits_minor"]) == (201, 5000, 1200)
    assert await anna.has() == (800, 1200)
    await sale.sold(paid.body["payment_id"])
    await wait_until(lambda: confirmed(hooked, sale))
    assert await hooked.kept_minor(paid.body["payment_id"]) == 3800
    assert await anna.has() == (800, 0)
    await hooked.ledger_is_sound()


async def test_a_declined_card_sets_the_credits_beside_it_free(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(2000)
    sale = await hooked.placed(buyer_id="anna")
    declined = await anna.pay(sale, "card", card_token="tok_declined", credits_minor=2000)
    assert (declined.status, declined.code) == (402, "card_declined")
    assert await anna.has() == (2000, 0)
    paid = await anna.pay(sale, "card", card_token="tok_ok", credits_minor=2000)
    await sale.sold(paid.body["payment_id"])
    await wait_until(lambda: confirmed(hooked, sale))
    assert await anna.has() == (0, 0)


async def test_lost_seats_of_a_mixed_payment_give_both_parts_back(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(2000)
    sale = await hooked.placed(buyer_id="anna")
    paid = await anna.pay(sale, "card", card_token="tok_ok", credits_minor=2000)
    await sale.lost(paid.body["payment_id"])
    await wait_until(lambda: voided(hooked, sale))
    assert await anna.has() == (2000, 0)
    assert await hooked.kept_minor(paid.body["payment_id"]) == 0
    await hooked.ledger_is_sound()


async def test_when_the_provider_cannot_be_reached_the_credits_are_free_again(
    hooked: HookedWorld, anna: Wallet
) -> None:
    await anna.given(2000)
    sale, key = await hooked.placed(buyer_id="anna"), new_id()
    await hooked.fault("authorize", "rate_limit")
    refused = await anna.pay(sale, "card", key=key, card_token="tok_ok", credits_minor=2000)
    assert (refused.status, refused.code) == (503, "provider_unavailable")
    assert await anna.has() == (2000, 0)
    assert (await anna.pay(sale, "card", key=key, card_token="tok_ok", credits_minor=2000)).status == 201


@pytest.mark.parametrize("hooked", ["sandbox", "stripe", "mercadopago"], indirect=True)
async def test_a_page_beside_credits(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(2000)
    sale = await hooked.placed(buyer_id="anna")
    payment_id, page = await redirected(sale, headers=anna.headers, credits_minor=2000)
    assert await anna.has() == (0, 2000)
    await hooked.on_the_page(page)
    await wait_until(lambda: sale_has(hooked, sale, "payment_authorized"))
    await sale.sold(payment_id)
    await wait_until(lambda: confirmed(hooked, sale))
    assert await hooked.kept_minor(payment_id) == 3000
    assert await anna.has() == (0, 0)
    await hooked.ledger_is_sound()


async def test_a_page_that_is_replaced_sets_its_credits_free_for_the_next_payment(
    hooked: HookedWorld, anna: Wallet
) -> None:
    await anna.given(2000)
    sale = await hooked.placed(buyer_id="anna")
    first, page = await redirected(sale, headers=anna.headers, credits_minor=2000)
    paid = await anna.pay(sale, "card", card_token="tok_ok", credits_minor=1500)
    assert paid.status == 201
    assert await anna.has() == (500, 1500)
    await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    assert await hooked.kept_minor(first) == 0
    assert await anna.has() == (500, 1500)
    await hooked.ledger_is_sound()


async def test_too_few_credits_leave_the_key_free_and_after_a_top_up_the_same_request_pays(
    hooked: HookedWorld, anna: Wallet
) -> None:
    await anna.given(4999)
    sale, key = await hooked.placed(buyer_id="anna"), new_id()
    for _ in range(2):
        refused = await anna.pay(sale, key=key)
        assert (refused.status, refused.code) == (402, "insufficient_credits")
    assert await sale.payment_states() == []
    assert await anna.has() == (4999, 0)
    begun = await anna.begin(1)
    await hooked.on_the_page(begun.body["redirect_url"])
    await wait_until(lambda: anna.topup_is(begun.body["topup_id"], "CREDITED"))
    paid = await anna.pay(sale, key=key)
    assert (paid.status, paid.body["state"]) == (201, "AUTHORIZED")
    assert (await anna.pay(sale, key=key)).body == paid.body
    assert await anna.has() == (0, 5000)


async def test_another_currency_s_credits_are_none(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(9000, "USD")
    refused = await anna.pay(await hooked.placed(buyer_id="anna"))
    assert (refused.status, refused.code) == (402, "insufficient_credits")


async def test_who_has_the_hold_but_not_the_buyer_s_token_spends_no_credits(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(9000)
    sale = await hooked.placed(buyer_id="anna")
    bert = hooked.buyer("bert").headers
    ways = [("credits", {}), ("card", {"card_token": "tok_ok", "credits_minor": 1}), ("redirect", {"credits_minor": 1})]
    for method, body in ways:
        missing, wrong = await pay(sale, method, **body), await pay(sale, method, headers=bert, **body)  # type: ignore[arg-type]
        assert [(one.status, one.code) for one in (missing, wrong)] == [
            (401, "buyer_token_missing"),
            (403, "buyer_token_wrong"),
        ]
    assert await anna.has() == (9000, 0)
    assert (await pay(sale, "card", card_token="tok_ok")).status == 201


async def test_more_credits_than_the_order_costs_are_refused(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(9000)
    sale = await hooked.placed(buyer_id="anna")
    refused = await anna.pay(sale, "card", card_token="tok_ok", credits_minor=5001)
    assert (refused.status, refused.code) == (422, "credits_too_many")
    assert (await anna.pay(sale, "credits", credits_minor=5)).code == "bad_body"
    assert await anna.has() == (9000, 0)


async def test_two_purchases_at_two_web_processes_at_once_cannot_spend_the_same_credit(
    hooked: HookedWorld, anna: Wallet, billing_database: DatabaseSettings, sandbox: ProviderProcess
) -> None:
    """Each with a pool of its own, some with a card beside the credits; what is left fits fewer than there are."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    provider = adapter("sandbox", sandbox.url, timeout_s=20)
    async with HookedWorld.opened(billing_database, sandbox.url, PROVIDER_KEY, provider) as other:
        for nth in range(4):
            buyer = f"buyer-{nth}"
            here, there = hooked.buyer(buyer), other.buyer(buyer)
            await here.given(12_500)
            sales = [await hooked.placed(buyer_id=buyer) for _ in range(6)]

            async def buy(sale: Sale, *, at_other: bool, here: Wallet = here, there: Wallet = there) -> tuple[int, int]:
                """(status, credits frozen)"""
                sale.world = other if at_other else hooked
                wallet = there if at_other else here
                if dice.random() < 0.5:
                    return (await wallet.pay(sale)).status, 5000
                paid = await wallet.pay(sale, "card", card_token="tok_ok", credits_minor=4000)
                return paid.status, 4000

            told = await asyncio.gather(*(buy(sale, at_other=at % 2 == 1) for at, sale in enumerate(sales)))
            assert {status for status, _ in told} <= {201, 402}
            spent_minor = sum(minor for status, minor in told if status == 201)
            refused = [minor for status, minor in told if status == 402]
            assert await here.has() == (12_500 - spent_minor, spent_minor)
            assert all(12_500 - spent_minor < minor for minor in refused)
            for sale in sales:
                sale.world = hooked
                for payment in (await sale.order())["payments"]:
                    await sale.sold(payment["payment_id"])
            await hooked.run("capture")
            await hooked.run("capture")
            await wait_until(lambda here=here, left=12_500 - spent_minor: _left(here, left))  # type: ignore[misc]
        await hooked.ledger_is_sound()


async def test_a_top_up_and_purchases_at_once_end_in_the_sum(hooked: HookedWorld, anna: Wallet) -> None:
    topups = [(await anna.begin(2500)).body for _ in range(6)]
    sales = [await hooked.placed(seats=1, buyer_id="anna") for _ in range(6)]
    for one in topups:
        await hooked.on_the_page(one["redirect_url"])

    async def bought(sale: Sale) -> None:
        async def once() -> bool:
            told = await anna.pay(sale)
            assert told.status in (201, 402, 503), told
            return told.status == 201

        await wait_until(once, timeout_s=60, interval_s=0.1)

    async def credited() -> None:
        for one in topups:
            await wait_until(lambda one=one: anna.topup_is(one["topup_id"], "CREDITED"), timeout_s=60)  # type: ignore[misc]

    await asyncio.gather(credited(), *(bought(sale) for sale in sales))
    assert await anna.has() == (0, 15_000)
    await hooked.ledger_is_sound()


async def sale_has(world: HookedWorld, sale: Sale, code: str) -> bool:
    await world.run("webhooks")
    return await sale.has(code)


async def _left(wallet: Wallet, minor: int) -> bool:
    await wallet.world.run("capture")
    found = await wallet.has()
    assert found == (minor, 0), found
    return True
