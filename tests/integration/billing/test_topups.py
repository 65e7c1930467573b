"""Credits are bought on the provider's page, and come of a verified webhook alone; with each provider."""

import asyncio
from typing import Any

import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.hooked import PROVIDERS, TOPUP_MAX_MINOR, HookedWorld, Wallet, adapter
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import is_id, new_id
from ticketflow.runtime.mariadb import execute

every_provider = pytest.mark.parametrize("hooked", PROVIDERS, indirect=True)


@pytest.fixture
async def anna(hooked: HookedWorld) -> Wallet:
    return hooked.buyer("anna")


async def begun(anna: Wallet, amount_minor: int = 5000) -> tuple[str, str]:
    """(top-up's id, address of the page)"""
    told = await anna.begin(amount_minor)
    assert (told.status, told.body["state"]) == (201, "STARTED"), told
    return told.body["topup_id"], told.body["redirect_url"]


async def page_is_over(world: HookedWorld) -> None:
    async with world.pool.transaction() as conn:
        await execute(
            conn, "UPDATE topups SET redirect_until = redirect_until - INTERVAL 2 DAY, due_at = UTC_TIMESTAMP(6)"
        )


@every_provider
async def test_paid_and_told_of_they_are_the_buyer_s(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id, page = await begun(anna)
    assert is_id(topup_id)
    assert await anna.has() == (0, 0)
    assert await hooked.on_the_page(page) < 400
    await wait_until(lambda: anna.topup_is(topup_id, "CREDITED"))
    assert await anna.has() == (5000, 0)
    assert await hooked.kept_minor(topup_id) == 5000
    await wait_until(hooked.all_sent)  # of our capture, too
    await wait_until(hooked.applied)
    await hooked.sent_again()
    await wait_until(hooked.all_sent)
    await hooked.every_webhook_anew()
    await wait_until(hooked.applied)
    assert await anna.has() == (5000, 0)
    assert await hooked.kept_minor(topup_id) == 5000
    await hooked.ledger_is_sound()
    (entry,) = await hooked.rows("SELECT cause, cause_id, evidence FROM ledger_entries")
    assert (entry["cause"], entry["cause_id"]) == ("topup", topup_id)
    assert entry["evidence"] in {row["webhook_id"] for row in await hooked.webhooks()}


@every_provider
async def test_a_declined_card_buys_nothing_and_the_next_one_does(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id, page = await begun(anna)
    await hooked.on_the_page(page, "tok_declined")
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    assert (await anna.topup(topup_id))["state"] == "STARTED"
    assert await hooked.on_the_page(page) < 400
    await wait_until(lambda: anna.topup_is(topup_id, "CREDITED"))
    assert await anna.has() == (5000, 0)


@every_provider
async def test_without_a_webhook_nothing_is_credited_and_the_money_goes_back(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id, page = await begun(anna)
    await hooked.manners(paused=True)
    await hooked.on_the_page(page)
    assert await hooked.run("topups") == 0
    await page_is_over(hooked)
    await wait_until(lambda: anna.topup_is(topup_id, "RETURNED"))
    assert (await anna.topup(topup_id))["reason"] == "no_webhook"
    assert await hooked.kept_minor(topup_id) == 0
    await hooked.manners()  # now they come
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    assert await anna.has() == (0, 0)
    assert await hooked.kept_minor(topup_id) == 0


@every_provider
async def test_a_page_that_nobody_pays_on_fails(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id, _ = await begun(anna)
    await page_is_over(hooked)
    await wait_until(lambda: anna.topup_is(topup_id, "FAILED"))
    assert (await anna.topup(topup_id))["reason"] == "abandoned"


@every_provider
async def test_money_that_comes_when_the_top_up_is_over_goes_back(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id, page = await begun(anna)
    await page_is_over(hooked)
    await wait_until(lambda: anna.topup_is(topup_id, "FAILED"))
    await hooked.on_the_page(page)  # the provider's clock is another
    await wait_until(lambda: anna.topup_is(topup_id, "RETURNED"))
    assert (await anna.topup(topup_id))["reason"] == "too_late"
    assert await hooked.kept_minor(topup_id) == 0
    assert await anna.has() == (0, 0)


@every_provider
async def test_paid_twice_one_is_credited_and_the_other_goes_back(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id, page = await begun(anna)
    await hooked.on_the_page(page)
    await wait_until(lambda: anna.topup_is(topup_id, "CREDITED"))
    await hooked.paid_beside(topup_id, 5000)
    await hooked.every_webhook_anew()
    await wait_until(hooked.applied)
    assert await hooked.kept_minor(topup_id) == 5000
    assert await anna.has() == (5000, 0)


@every_provider
@pytest.mark.parametrize("change", ["amount_minor = amount_minor + 1", "currency = 'USD'"], ids=["amount", "currency"])
async def test_what_is_not_exactly_what_was_asked_for_goes_back(hooked: HookedWorld, anna: Wallet, change: str) -> None:
    topup_id, page = await begun(anna)
    async with hooked.pool.transaction() as conn:
        await execute(conn, f"UPDATE topups SET {change}")  # as if it had been begun like that
    await hooked.on_the_page(page)
    await wait_until(lambda: anna.topup_is(topup_id, "RETURNED"))
    assert (await anna.topup(topup_id))["reason"] == f"{change.split('_')[0].split()[0]}_differs"
    assert await hooked.kept_minor(topup_id) == 0
    assert await anna.has() == (0, 0) == await anna.has("USD")


@every_provider
async def test_two_listeners_and_many_webhooks_credit_it_once(
    hooked: HookedWorld, anna: Wallet, billing_database: DatabaseSettings, sandbox: ProviderProcess
) -> None:
    provider = adapter(hooked.provider.name, sandbox.url)
    async with HookedWorld.opened(billing_database, sandbox.url, PROVIDER_KEY, provider) as other:
        await hooked.manners(repeats=2)
        for nth in range(1, 6):
            topup_id, page = await begun(anna, 100)
            await hooked.on_the_page(page)
            await wait_until(hooked.all_sent)
            await hooked.every_webhook_anew()
            await asyncio.gather(*(one.run("webhooks") for one in (hooked, other) for _ in range(3)))
            await wait_until(lambda topup_id=topup_id: anna.topup_is(topup_id, "CREDITED"))  # type: ignore[misc]
            assert await anna.has() == (100 * nth, 0)
            assert await hooked.kept_minor(topup_id) == 100
        await hooked.ledger_is_sound()


async def test_the_provider_is_away_when_the_webhook_has_come_and_it_is_credited_later(
    hooked: HookedWorld, anna: Wallet, sandbox: ProviderProcess
) -> None:
    """Also when that lasts until its page is over: the webhook is there."""
    topup_id, page = await begun(anna)
    await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)
    sandbox.kill()
    await hooked.run("webhooks")
    async with hooked.pool.transaction() as conn:
        await execute(conn, "UPDATE webhooks SET due_at = NULL")  # given up
    sandbox.start()
    await sandbox.ready()
    await page_is_over(hooked)
    await wait_until(lambda: anna.topup_is(topup_id, "CREDITED"))
    assert await anna.has() == (5000, 0)


@pytest.mark.parametrize("operation", ["capture", "fetch"])
@pytest.mark.parametrize("kind", ["error", "error_after", "drop_after", "rate_limit"])
async def test_what_goes_wrong_at_the_provider_is_repeated(
    hooked: HookedWorld, anna: Wallet, operation: str, kind: str
) -> None:
    topup_id, page = await begun(anna)
    await hooked.on_the_page(page)
    await wait_until(hooked.all_sent)
    await hooked.fault(operation, kind, count=2)
    await wait_until(lambda: anna.topup_is(topup_id, "CREDITED"))
    assert await anna.has() == (5000, 0)
    assert await hooked.kept_minor(topup_id) == 5000


async def test_what_goes_wrong_while_it_is_given_back_is_repeated(hooked: HookedWorld, anna: Wallet) -> None:
    topup_id, page = await begun(anna)
    await hooked.manners(paused=True)
    await hooked.on_the_page(page)
    await page_is_over(hooked)
    await hooked.fault("void", "drop_after")
    await hooked.fault("fetch", "error", count=2)
    await wait_until(lambda: anna.topup_is(topup_id, "RETURNED"))
    assert await hooked.kept_minor(topup_id) == 0


# -- the request


async def test_one_key_begins_one_top_up_and_gives_one_page(hooked: HookedWorld, anna: Wallet) -> None:
    key = new_id()
    answers = await asyncio.gather(*(anna.begin(key=key) for _ in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert len({str(answer.body) for answer in answers}) == 1
    assert len(await hooked.rows("SELECT 1 FROM topups")) == 1
    other = await anna.begin(5001, key=key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    assert (await hooked.buyer("bert").begin(key=key)).status == 201  # whose key that is as well


async def test_begun_by_a_process_that_died_the_repeat_goes_on(
    hooked: HookedWorld, anna: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_id()

    async def dies(**_: Any) -> Any:
        raise SystemError("as a SIGKILL here")

    monkeypatch.setattr(hooked.provider, "begin", dies)
    assert (await anna.begin(key=key)).status == 500
    monkeypatch.undo()
    told = await anna.begin(key=key)
    assert (told.status, told.body["state"]) == (201, "STARTED")
    assert len(await hooked.rows("SELECT 1 FROM topups")) == 1


@pytest.mark.parametrize("kind", ["error", "error_after", "drop", "drop_after", "rate_limit"])
async def test_without_a_page_nothing_has_begun_and_the_key_is_free(
    hooked: HookedWorld, anna: Wallet, kind: str
) -> None:
    key = new_id()
    await hooked.fault("begin", kind)
    refused = await anna.begin(key=key)
    assert (refused.status, refused.code) == (503, "provider_unavailable")
    assert (await anna.begin(key=key)).status == 201
    states = await hooked.rows("SELECT state, reason FROM topups ORDER BY topup_id")
    assert [(row["state"], row["reason"]) for row in states] == [("FAILED", "provider_unavailable"), ("STARTED", None)]


@pytest.mark.parametrize("hooked", ["mercadopago"], indirect=True)
async def test_what_the_provider_will_never_take_is_refused(hooked: HookedWorld, anna: Wallet) -> None:
    refused = await anna.begin(5000, "BRL")
    assert (refused.status, refused.code) == (422, "topup_refused")
    assert "currency_not_supported" in refused.body["detail"]


async def test_amounts_currencies_and_their_bounds(hooked: HookedWorld, anna: Wallet) -> None:
    answers = [
        await anna.begin(TOPUP_MAX_MINOR),
        await anna.begin(TOPUP_MAX_MINOR + 1),
        await anna.begin(0),
        await anna.begin(-5),
        await anna.begin(5, "EUX"),
        await anna.begin(5, "eur"),
        await anna.begin(5, "EUR\n"),
        await anna.call("POST", "/topups", {"amount_minor": 1.5, "currency": "EUR"}, **{"Idempotency-Key": "k"}),
        await anna.call("POST", "/topups", {"amount_minor": 5, "currency": "EUR", "x": 1}, **{"Idempotency-Key": "k"}),
        await anna.call("POST", "/topups", {"amount_minor": 5, "currency": "EUR"}),
    ]
    assert [(answer.status, answer.code) for answer in answers] == [
        (201, None),
        (422, "topup_too_large"),
        (422, "bad_body"),
        (422, "bad_body"),
        (422, "currency_unknown"),
        (422, "bad_body"),
        (422, "bad_body"),
        (422, "bad_body"),
        (422, "bad_body"),
        (400, "idempotency_key_missing"),
    ]


async def test_a_buyer_has_a_few_open_pages_and_not_more(hooked: HookedWorld, anna: Wallet) -> None:
    for _ in range(10):
        assert (await anna.begin(5)).status == 201
    refused = await anna.begin(5)
    assert (refused.status, refused.code) == (429, "too_many_topups")
    assert (await hooked.buyer("bert").begin(5)).status == 201
