"""What a buyer sees of the credits, who may see it, and credits in dispute."""

import asyncio

import pytest

from tests.integration.billing.hooked import HookedWorld, Wallet
from tests.integration.billing.world import TOKEN_KEY
from ticketflow.events import hold_token, new_id


@pytest.fixture
async def anna(hooked: HookedWorld) -> Wallet:
    return hooked.buyer("anna")


async def frozen(world: HookedWorld, amount_minor: int, freeze_id: str, **more: str) -> tuple[int, str | None]:
    body = {"freeze_id": freeze_id, "amount_minor": amount_minor, "currency": "EUR", "reason": "chargeback"} | more
    told = await world.admin("POST", "wallets/anna/freezes", body)
    return told.status, told.code


async def test_the_shop_s_login_gets_the_token_that_opens_a_wallet(hooked: HookedWorld) -> None:
    issued = await hooked.admin("POST", "buyers/some.body:1/token")
    assert (issued.status, issued.body["buyer_id"]) == (201, "some.body:1")
    url = f"{hooked.base}/api/v1/wallets/some.body:1"
    async with hooked.http.get(url, headers={"X-Buyer-Token": issued.body["token"]}) as response:
        assert await response.json() == {"buyer_id": "some.body:1", "balances": []}
    async with hooked.http.post(f"{hooked.base}/api/v1/admin/buyers/anna/token") as response:
        assert response.status == 401


async def test_nobody_else_sees_or_does_anything(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id = (await anna.begin()).body["topup_id"]
    calls = [
        ("GET", "", None),
        ("GET", "/statement?currency=EUR", None),
        ("POST", "/topups", {"amount_minor": 5, "currency": "EUR"}),
        ("GET", f"/topups/{topup_id}", None),
    ]
    tokens = {
        "": (401, "buyer_token_missing"),
        "wrong": (403, "buyer_token_wrong"),
        hooked.buyer("bert").headers["X-Buyer-Token"]: (403, "buyer_token_wrong"),
        hold_token.issue([TOKEN_KEY], "anna"): (403, "buyer_token_wrong"),
        "\u00e9": (403, "buyer_token_wrong"),
    }
    for method, path, body in calls:
        for token, refusal in tokens.items():
            told = await anna.call(method, path, body, **{"Idempotency-Key": "k", "X-Buyer-Token": token})
            assert (told.status, told.code) == refusal
    told = await hooked.buyer("bert").call("GET", f"/topups/{topup_id}")
    assert (told.status, told.code) == (404, "topup_unknown")


@pytest.mark.parametrize("buyer", ["a%20b", "a%2Fb", "b" * 65, "%00", "%C3%A9", "a%0A"])
async def test_what_is_no_buyer_s_id_is_refused(hooked: HookedWorld, buyer: str) -> None:
    async with hooked.http.get(f"{hooked.base}/api/v1/wallets/{buyer}") as response:
        assert (response.status, (await response.json())["code"]) == (400, "buyer_invalid")


async def test_balances_by_currency_and_a_statement_page_by_page(hooked: HookedWorld, anna: Wallet) -> None:
    for amount_minor in (100, 200, 300, 400):
        await anna.given(amount_minor)
    await anna.given(7000, "JPY")
    await hooked.buyer("bert").given(1)
    assert await frozen(hooked, 250, "dp_1") == (201, None)
    assert (await anna.call("GET")).body["balances"] == [
        {"currency": "EUR", "available_minor": 750, "frozen_minor": 250},
        {"currency": "JPY", "available_minor": 7000, "frozen_minor": 0},
    ]
    first = (await anna.call("GET", "/statement?currency=EUR&limit=3")).body
    assert [(m["cause"], m["available_change_minor"], m["available_after_minor"]) for m in first["items"]] == [
        ("freeze", -250, 750),
        ("topup", 400, 1000),
        ("topup", 300, 600),
    ]
    second = (await anna.call("GET", f"/statement?currency=EUR&limit=3&before={first['next']}")).body
    assert [m["available_after_minor"] for m in second["items"]] == [300, 100]
    assert second["next"] is None
    for wrong in ("", "currency=eur", "currency=EUR&limit=0", "currency=EUR&limit=201", "currency=EUR&before=x", "x=1"):
        told = await anna.call("GET", f"/statement?{wrong}")
        assert (told.status, told.code) == (422, "bad_query"), wrong
    assert (await anna.call("GET", "/statement?currency=EUR&before=9223372036854775807")).status == 200


async def test_credits_in_dispute_cannot_be_spent_until_it_is_over(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(6000)
    assert await frozen(hooked, 4000, "dp_1") == (201, None)
    assert await anna.has() == (2000, 4000)
    sale = await hooked.placed(buyer_id="anna")
    told = await anna.pay(sale)
    assert (told.status, told.code) == (402, "insufficient_credits")
    ended = await hooked.admin("DELETE", "wallets/anna/freezes/dp_1")
    assert (ended.status, ended.body["amount_minor"]) == (200, 4000)
    assert ended.body["released_at"] is not None
    assert await anna.has() == (6000, 0)
    assert (await anna.pay(sale)).status == 201
    await hooked.ledger_is_sound()


async def test_a_freeze_is_done_once_and_ended_once(hooked: HookedWorld, anna: Wallet) -> None:
    await anna.given(6000)
    told = await asyncio.gather(*(frozen(hooked, 4000, "dp_1") for _ in range(6)))
    assert set(told) == {(201, None)}
    assert await anna.has() == (2000, 4000)
    assert await frozen(hooked, 3999, "dp_1") == (409, "freeze_conflict")
    ended = await asyncio.gather(*(hooked.admin("DELETE", "wallets/anna/freezes/dp_1") for _ in range(6)))
    assert {answer.status for answer in ended} == {200}
    assert await frozen(hooked, 4000, "dp_1") == (201, None)  # which was, and is over
    assert await anna.has() == (6000, 0)
    await hooked.ledger_is_sound()


async def test_more_than_there_is_cannot_be_frozen_nor_what_a_payment_has_frozen_be_freed(
    hooked: HookedWorld, anna: Wallet
) -> None:
    await anna.given(6000)
    sale = await hooked.placed(buyer_id="anna")
    paid = await anna.pay(sale)
    payment_id = paid.body["payment_id"]
    assert await anna.has() == (1000, 5000)
    assert await frozen(hooked, 1001, new_id()) == (402, "insufficient_credits")
    assert await frozen(hooked, 1, payment_id) == (409, "freeze_conflict")
    for buyer, freeze in (("anna", payment_id), ("anna", "nothing"), ("bert", "dp_1")):
        told = await hooked.admin("DELETE", f"wallets/{buyer}/freezes/{freeze}")
        assert (told.status, told.code) == (404, "freeze_unknown")
    assert await anna.has() == (1000, 5000)


@pytest.mark.parametrize(
    "body",
    [
        {"amount_minor": 0},
        {"currency": "EUX"},
        {"reason": ""},
        {"reason": "x" * 256},
        {"freeze_id": "a b"},
        {"freeze_id": ""},
        {"more": 1},
    ],
    ids=str,
)
async def test_a_freeze_that_is_none_is_refused(hooked: HookedWorld, anna: Wallet, body: dict[str, object]) -> None:
    await anna.given(6000)
    told = await hooked.admin(
        "POST", "wallets/anna/freezes", {"amount_minor": 1, "currency": "EUR", "reason": "why"} | body
    )
    assert (told.status, told.code) in ((422, "bad_body"), (422, "currency_unknown"))
    unnamed = await hooked.admin(
        "POST", "wallets/anna/freezes", {"amount_minor": 1, "currency": "EUR", "reason": "why"}
    )
    assert unnamed.status == 201
    assert await anna.has() == (5999, 1)
