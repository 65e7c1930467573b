"""Paying on the provider's page, and with credits, through the whole ring: its webhooks come in by the front door."""

import aiohttp

from tests.support.buyer import Buyer, Purchase, Shop
from tests.support.waiting import wait_until
from ticketflow.events import new_id

PATIENCE_S = 60.0


async def on_the_page(url: str) -> None:
    async with aiohttp.ClientSession() as browser, browser.post(url, data={"card_token": "tok_ok"}) as response:
        assert response.status == 200, await response.text()


async def pay(purchase: Purchase, body: dict[str, object], **headers: str) -> dict[str, str]:
    path = f"/api/v1/orders/{purchase.hold_id}/payments"
    sent = purchase.headers | headers | {"Idempotency-Key": new_id()}
    answer = await purchase.buyer.shop.insist("POST", path, body, headers=sent)
    assert answer.status == 201, answer
    return dict(answer.body)


async def test_a_sale_that_is_paid_on_the_provider_s_page(shop: Shop) -> None:
    event = await shop.event(seats=2)
    purchase = await Buyer(shop).hold(event, event.seats)
    begun = await pay(purchase, {"method": "redirect"})
    assert await purchase.order_state() == "PENDING"
    await on_the_page(begun["redirect_url"])
    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=PATIENCE_S)
    order = await purchase.order()
    assert [(payment["method"], payment["state"]) for payment in order["payments"]] == [("redirect", "CAPTURED")]
    assert await event.states() == {"free": 0, "held": 0, "sold": 2}


async def test_a_sale_that_is_paid_with_credits_that_were_bought(shop: Shop) -> None:
    event = await shop.event(seats=2)
    buyer = Buyer(shop)
    token = {"X-Buyer-Token": (await shop.admin(f"buyers/{buyer.buyer_id}/token", None))["token"]}
    wallet = f"/api/v1/wallets/{buyer.buyer_id}"
    wish = {"amount_minor": 6000, "currency": "EUR"}
    begun = await shop.insist("POST", f"{wallet}/topups", wish, headers=token | {"Idempotency-Key": new_id()})
    assert begun.status == 201, begun
    await on_the_page(begun.body["redirect_url"])

    async def has(available_minor: int) -> bool:
        answer = await shop.insist("GET", wallet, headers=token)
        assert answer.body["balances"] == [
            {"currency": "EUR", "available_minor": available_minor, "frozen_minor": 0}
        ], answer
        return True

    await wait_until(lambda: has(6000), timeout_s=PATIENCE_S)
    purchase = await buyer.hold(event, event.seats)
    await pay(purchase, {"method": "credits"}, **token)
    await wait_until(lambda: purchase.sale_is("CONFIRMED"), timeout_s=PATIENCE_S)
    await wait_until(lambda: has(1000), timeout_s=PATIENCE_S)
    statement = await shop.insist("GET", f"{wallet}/statement?currency=EUR", headers=token)
    assert [item["cause"] for item in statement.body["items"]] == ["capture", "freeze", "topup"]
