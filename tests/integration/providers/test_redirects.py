"""The buyer pays on the provider's own page."""

import time

import pytest

from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Redirect, Refused
from billing.providers.stripe import StripeProvider
from tests.integration.providers.kits import Kit
from tests.integration.sandbox.process import PROVIDER_KEY
from ticketflow.events import new_id

DAY_S = 86_400


async def begun(kit: Kit, reference: str, **more: int) -> Redirect:
    return await kit.provider.begin(reference=reference, amount_minor=1999, currency=kit.currency, **more)


async def test_nothing_is_there_until_the_buyer_has_paid_and_then_it_is_found(kit: Kit) -> None:
    reference = new_id()
    page = await begun(kit, reference)
    assert page.expires_at_us // 1_000_000 == pytest.approx(time.time() + DAY_S, abs=600)
    assert await kit.provider.fetch(reference) is None
    assert await kit.pay(page.url) < 400
    found = await kit.fetched(reference)
    assert found.state == ("captured" if page.captures_at_once else "authorized")
    assert (found.amount_minor, found.kept_minor) == (1999, 1999 if page.captures_at_once else 0)
    assert found.currency == kit.currency
    assert page.captures_at_once == (kit.name == "mercadopago")


async def test_what_was_paid_there_goes_on_like_any_payment(kit: Kit) -> None:
    reference = new_id()
    page = await begun(kit, reference)
    await kit.pay(page.url)
    one = await kit.fetched(reference)
    if not page.captures_at_once:
        await kit.provider.capture(one.authorization_id, 1999, key=f"{reference}:capture")
    await kit.provider.refund(one.authorization_id, 1999, key=f"{reference}:refund")
    assert (await kit.book(reference))["refunded_minor"] == 1999


async def test_asked_again_it_is_the_same_page_and_it_is_paid_once(kit: Kit) -> None:
    reference = new_id()
    first, again = await begun(kit, reference), await begun(kit, reference)
    assert first == again
    assert [await kit.pay(first.url) for _ in range(2)] == [303 if kit.name != "sandbox" else 200, 409]
    assert len(await kit.books(reference)) == 1


async def test_after_a_declined_card_the_buyer_tries_another(kit: Kit) -> None:
    reference = new_id()
    page = await begun(kit, reference)
    assert await kit.pay(page.url, "tok_declined") == 402
    assert (await kit.fetched(reference)).state == "declined"
    await kit.pay(page.url)
    every = await kit.provider.fetch_all(reference)
    assert [one.state for one in every] == ["captured" if page.captures_at_once else "authorized", "declined"]
    assert await kit.fetched(reference) == every[0]


async def test_nobody_pays_when_it_is_too_late(mercadopago: Kit) -> None:
    page = await begun(mercadopago, _begun_two_minutes_ago(), expires_s=60)
    assert await mercadopago.pay(page.url) == 410


async def test_another_currency_than_the_accounts_is_refused_before_anything_is_sent() -> None:
    provider = MercadoPagoProvider("http://127.0.0.1:1", PROVIDER_KEY, currency="BRL")  # not open: it sends nothing
    with pytest.raises(Refused, match="currency_not_supported"):
        await provider.begin(reference=new_id(), amount_minor=1, currency="ARS")
    with pytest.raises(Refused, match="currency_not_supported"):
        await provider.authorize(reference=new_id(), amount_minor=1, currency="ARS", card_token="visa:tok_ok")


async def test_stripe_finds_an_old_payment_by_its_search(stripe: Kit) -> None:
    """Beyond the day for which keys are kept. The sandbox's search is an hour behind: it has nothing of today."""
    reference = new_id()
    await stripe.authorize(reference)
    url = f"{stripe.process.url}/stripe"
    later = StripeProvider(url, PROVIDER_KEY, timeout_s=20, clock=lambda: time.time() + DAY_S)
    await later.open()
    try:
        assert await later.fetch(reference) is None
    finally:
        await later.close()
    assert (await stripe.fetched(reference)).state == "authorized"  # today: by the list, which is not behind


def _begun_two_minutes_ago() -> str:
    made = new_id()
    at_ms = int(time.time() * 1000) - 120_000
    digits = f"{at_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}{made[13:]}"
