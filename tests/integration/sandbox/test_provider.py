"""The payment provider, as its clients see it."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.integration.sandbox.process import ProviderProcess
from tests.support.buyer import Answer
from ticketflow.events import new_id

Bank = aiohttp.ClientSession


async def post(bank: Bank, path: str, body: Any, *, key: str | None = None) -> Answer:
    async with bank.post(path, json=body, headers={"Idempotency-Key": key or new_id()}) as response:
        return Answer(response.status, await response.json(content_type=None), response.headers)


async def get(bank: Bank, path: str, **params: str) -> Any:
    async with bank.get(path, params=params) as response:
        return await response.json(content_type=None)


def wish(card: str = "tok_ok", amount_minor: int = 1000, reference: str | None = None) -> dict[str, Any]:
    return {
        "reference": reference or new_id(),
        "amount_minor": amount_minor,
        "currency": "EUR",
        "card_token": card,
    }


async def authorized(bank: Bank, amount_minor: int = 1000) -> str:
    answer = await post(bank, "/v1/authorizations", wish(amount_minor=amount_minor))
    assert (answer.status, answer.body["state"]) == (201, "authorized")
    return str(answer.body["authorization_id"])


async def test_authorise_capture_refund(bank: Bank) -> None:
    one = f"/v1/authorizations/{await authorized(bank)}"
    captured = await post(bank, f"{one}/capture", {"amount_minor": 1000})
    assert (captured.status, captured.body["state"], captured.body["captured_minor"]) == (200, "captured", 1000)
    refunded = await post(bank, f"{one}/refund", {"amount_minor": 400})
    assert (refunded.body["state"], refunded.body["refunded_minor"]) == ("refunded", 400)
    too_much = await post(bank, f"{one}/refund", {"amount_minor": 601})
    assert (too_much.status, too_much.code) == (409, "amount_too_large")
    assert (await get(bank, "/v1/totals"))["by_currency"]["EUR"] == {
        "authorized_minor": 1000,
        "captured_minor": 1000,
        "voided_minor": 0,
        "refunded_minor": 400,
        "open_minor": 0,
    }


async def test_the_books_are_read_page_by_page_from_a_moment_on(bank: Bank) -> None:
    before = (await get(bank, f"/v1/authorizations/{await authorized(bank)}"))["created_at_us"]
    wanted = [await authorized(bank) for _ in range(3)]
    found: list[str] = []
    while page := (
        await get(bank, "/v1/authorizations", since_us=str(before + 1), after=found[-1] if found else "!", limit="2")
    )["items"]:
        assert len(page) <= 2
        found += [entry["authorization_id"] for entry in page]
    assert found == wanted


async def test_what_is_voided_cannot_be_captured_and_what_is_captured_cannot_be_voided(bank: Bank) -> None:
    voided = f"/v1/authorizations/{await authorized(bank)}"
    assert (await post(bank, f"{voided}/void", {})).body["state"] == "voided"
    assert (await post(bank, f"{voided}/capture", {"amount_minor": 1})).code == "authorization_voided"
    captured = f"/v1/authorizations/{await authorized(bank)}"
    await post(bank, f"{captured}/capture", {"amount_minor": 1000})
    assert (await post(bank, f"{captured}/void", {})).code == "authorization_captured"


async def test_no_more_is_captured_than_was_authorised(bank: Bank) -> None:
    one = f"/v1/authorizations/{await authorized(bank, 500)}"
    assert (await post(bank, f"{one}/capture", {"amount_minor": 501})).code == "amount_too_large"


@pytest.mark.parametrize(
    ("card", "reason"),
    [("tok_declined", "do_not_honor"), ("tok_insufficient", "insufficient_funds"), ("tok_x", "unknown_card")],
)
async def test_a_declined_card_holds_no_money(bank: Bank, card: str, reason: str) -> None:
    answer = await post(bank, "/v1/authorizations", wish(card))
    assert (answer.status, answer.body["state"], answer.body["reason"]) == (402, "declined", reason)
    assert (await get(bank, "/v1/totals"))["by_currency"]["EUR"]["authorized_minor"] == 0


async def test_one_key_is_charged_once_however_often_it_comes(bank: Bank) -> None:
    wanted, key = wish(), new_id()
    answers = await asyncio.gather(*(post(bank, "/v1/authorizations", wanted, key=key) for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["authorization_id"] for answer in answers}) == 1
    assert len((await get(bank, "/v1/authorizations", reference=wanted["reference"]))["items"]) == 1


async def test_a_key_used_for_another_request_is_refused(bank: Bank) -> None:
    key = new_id()
    await post(bank, "/v1/authorizations", wish(), key=key)
    other = await post(bank, "/v1/authorizations", wish(), key=key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")


async def test_an_unknown_reference_or_authorization(bank: Bank) -> None:
    assert await get(bank, "/v1/authorizations", reference="nothing") == {"items": []}
    assert (await post(bank, "/v1/authorizations/auth_x/void", {})).code == "authorization_unknown"


async def test_nobody_is_served_without_the_key(provider: ProviderProcess) -> None:
    async with aiohttp.ClientSession(provider.url) as stranger, stranger.get("/v1/totals") as response:
        assert response.status == 401


async def test_it_remembers_everything_after_a_kill(provider: ProviderProcess, bank: Bank) -> None:
    wanted, key = wish(), new_id()
    first = await post(bank, "/v1/authorizations", wanted, key=key)
    await post(bank, f"/v1/authorizations/{first.body['authorization_id']}/capture", {"amount_minor": 1000})
    provider.kill()
    provider.start()
    await provider.ready()
    async with provider.client() as again:
        assert (await post(again, "/v1/authorizations", wanted, key=key)).body == first.body
        assert (await get(again, "/v1/totals"))["counts"] == {"captured": 1}


async def test_kills_in_mid_charge_never_charge_twice(provider: ProviderProcess) -> None:
    """Clients repeat with their keys while the process is killed under them, three times."""
    wishes = [(wish(), new_id()) for _ in range(40)]

    async def insist(wanted: dict[str, Any], key: str) -> None:
        while True:
            try:
                async with provider.client(timeout_s=2) as bank:
                    answer = await post(bank, "/v1/authorizations", wanted, key=key)
                assert answer.status == 201
                return
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)

    clients = {asyncio.create_task(insist(wanted, key)) for wanted, key in wishes}
    pending = clients
    for _ in range(3):
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        provider.kill()
        provider.start()
        if not pending:
            break
    await provider.ready()
    await asyncio.gather(*clients)
    async with provider.client() as bank:
        assert (await get(bank, "/v1/totals"))["counts"] == {"authorized": len(wishes)}


async def test_it_drains_on_sigterm(provider: ProviderProcess) -> None:
    assert provider.terminate() == 0
