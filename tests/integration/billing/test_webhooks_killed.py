"""SIGKILL between what a webhook goes through; real processes, and nothing is lost or done twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.hooked import SECRETS, HookedWorld, adapter, redirected
from tests.integration.billing.processes import BillingProcess
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until

HOOKS = {"BILLING_PROVIDER_WEBHOOK_SECRETS": ",".join(SECRETS)}
PATIENCE_S = 60.0  # processes start, and a killed worker's row waits until it may be taken again


@pytest.fixture
async def world(billing_database: DatabaseSettings, sandbox: ProviderProcess) -> AsyncIterator[HookedWorld]:
    """The test's own hands; webhooks go to the web process, not here."""
    async with HookedWorld.opened(
        billing_database, sandbox.url, PROVIDER_KEY, adapter("sandbox", sandbox.url)
    ) as opened:
        yield opened


@pytest.fixture
async def web(
    billing_database: DatabaseSettings, sandbox: ProviderProcess, tmp_path: Path, hooks_port: int
) -> AsyncIterator[BillingProcess]:
    process = BillingProcess("web", billing_database, sandbox, tmp_path, HOOKS, port=hooks_port)
    await process.start()
    yield process
    process.kill()


@pytest.fixture
async def listener(
    billing_database: DatabaseSettings, sandbox: ProviderProcess, tmp_path: Path
) -> AsyncIterator[BillingProcess]:
    """Not started."""
    process = BillingProcess("listener", billing_database, sandbox, tmp_path, HOOKS)
    yield process
    process.kill()


async def test_killed_when_it_was_stored_and_before_it_was_applied(
    world: HookedWorld, web: BillingProcess, listener: BillingProcess
) -> None:
    sale = await world.placed()
    payment_id, page = await redirected(sale)
    await world.on_the_page(page)
    await wait_until(world.webhooks)
    web.kill()
    await listener.start()
    await wait_until(lambda: sale.has("payment_authorized"), timeout_s=PATIENCE_S)
    await sale.sold(payment_id)
    await wait_until(lambda: sale.has("order_confirmed"), timeout_s=PATIENCE_S)
    await sale.ends("CONFIRMED")


async def test_killed_before_it_was_stored_the_provider_sends_it_again(
    world: HookedWorld, web: BillingProcess, listener: BillingProcess
) -> None:
    web.kill()
    sale = await world.placed()
    _, page = await redirected(sale)
    await world.on_the_page(page)
    await listener.start()
    await web.start()
    await wait_until(world.all_sent, timeout_s=PATIENCE_S)
    await wait_until(lambda: sale.has("payment_authorized"), timeout_s=PATIENCE_S)


async def test_killed_while_a_top_up_is_captured_it_is_credited_once(
    world: HookedWorld, web: BillingProcess, listener: BillingProcess
) -> None:
    anna = world.buyer("anna")
    begun = (await anna.begin()).body
    await world.fault("capture", "timeout_after")
    await world.on_the_page(begun["redirect_url"])
    await listener.start()

    async def captured() -> bool:
        return [item["state"] for item in await world.at_bank(begun["topup_id"])] == ["captured"]

    await wait_until(captured, timeout_s=PATIENCE_S)
    listener.kill()
    assert await anna.has() == (0, 0)
    await listener.start()

    async def credited() -> bool:
        return await anna.has() == (5000, 0)

    await wait_until(credited, timeout_s=PATIENCE_S)
    await wait_until(world.all_sent)
    assert await world.kept_minor(begun["topup_id"]) == 5000
    await world.ledger_is_sound()


async def test_the_processes_tell_what_they_do(
    world: HookedWorld, web: BillingProcess, listener: BillingProcess
) -> None:
    sale = await world.placed()
    _, page = await redirected(sale)
    await listener.start()

    async def says(process: BillingProcess, *lines: str) -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"{process.base}/metrics") as response:
            text = await response.text()
        missing = [line for line in lines if line not in text]
        assert not missing, missing
        return True

    waits = 'billing_payments_waiting{state="waiting_for_buyer"} 1.0'
    none_old = 'billing_payments_oldest_seconds{state="STARTED"} 0.0'
    await wait_until(lambda: says(listener, waits, none_old), timeout_s=PATIENCE_S)
    refused = await world.http.post(f"{web.base}/api/v1/webhooks/sandbox", data=b"{}")
    assert refused.status == 400
    await world.on_the_page(page)
    await wait_until(lambda: sale.has("payment_authorized"), timeout_s=PATIENCE_S)
    await says(
        web,
        'billing_webhooks_total{outcome="received"} 1.0',
        'billing_webhooks_refused_total{code="missing"} 1.0',
    )
    await wait_until(
        lambda: says(
            listener,
            'billing_webhooks_total{outcome="applied"} 1.0',
            'billing_webhooks_waiting{state="RECEIVED"} 0.0',
            'billing_topups_waiting{state="STARTED"} 0.0',
        )
    )
    async with world.http.get(f"{web.base}/openapi.json") as response:
        paths = (await response.json())["paths"]
    assert "/api/v1/webhooks/{provider}" in paths
    assert "/api/v1/wallets/{buyer}/topups" in paths
