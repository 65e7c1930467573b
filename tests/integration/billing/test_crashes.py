"""SIGKILL at the worst moments; and two workers where there should be one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from billing.orders.states import PaymentState
from billing.providers.port import Authorization
from billing.settings import DatabaseSettings
from billing.store import work
from tests.integration.billing.processes import BillingProcess
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import new_id


@pytest.fixture
async def listener(
    billing_database: DatabaseSettings, provider_ready: ProviderProcess, tmp_path: Path
) -> AsyncIterator[BillingProcess]:
    process = BillingProcess("listener", billing_database, provider_ready, tmp_path)
    yield process
    process.kill()


@pytest.fixture
async def web(
    billing_database: DatabaseSettings, provider_ready: ProviderProcess, tmp_path: Path
) -> AsyncIterator[BillingProcess]:
    process = BillingProcess("web", billing_database, provider_ready, tmp_path)
    yield process
    process.kill()


async def sold_sale(world: World) -> tuple[Sale, str]:
    sale = await world.placed()
    paid = await sale.pay()
    payment_id = paid.body["payment_id"]
    await sale.sold(payment_id)
    return sale, payment_id


async def captured_at_bank(world: World, payment_id: str) -> bool:
    return [item["state"] for item in await world.at_bank(payment_id)] == ["captured"]


async def confirmed(sale: Sale) -> bool:
    return bool((await sale.order())["state"] == "CONFIRMED")


async def test_killed_between_the_capture_and_our_commit(world: World, listener: BillingProcess) -> None:
    await world.fault("capture", "timeout_after")
    sale, payment_id = await sold_sale(world)
    await listener.start()
    await wait_until(lambda: captured_at_bank(world, payment_id))
    listener.kill()
    assert await sale.payment_states() == ["SETTLED"]
    await listener.start()
    await wait_until(lambda: confirmed(sale), timeout_s=30)
    await sale.ends("CONFIRMED")
    assert (await world.staged(sale.hold_id))[-1].kind == "order.confirmed"


async def test_the_web_process_is_killed_while_the_provider_charges(world: World, web: BillingProcess) -> None:
    sale, key = await world.placed(), new_id()
    await world.fault("authorize", "timeout_after")
    await web.start()
    world.base = web.base
    paying = asyncio.create_task(sale.pay(key=key))
    await wait_until(lambda: world.rows("SELECT payment_id FROM payments"))
    payment_id = (await world.rows("SELECT payment_id FROM payments"))[0]["payment_id"]
    await wait_until(lambda: world.at_bank(payment_id))
    web.kill()
    with pytest.raises(aiohttp.ClientError):
        await paying
    await web.start()
    repeat = asyncio.create_task(sale.pay(key=key))
    await world.age(payment_id, by_s=5)
    await world.run("resolver")
    told = await repeat
    assert (told.status, told.body["payment_id"]) == (201, payment_id)
    assert len(await world.at_bank(payment_id)) == 1
    assert await sale.payment_states() == ["AUTHORIZED"]


async def test_a_listener_drains_and_lets_its_lease_go(world: World, listener: BillingProcess) -> None:
    await listener.start()
    held = "SELECT 1 FROM delivery_lease WHERE name = 'relay:billing' AND expires_at > UTC_TIMESTAMP(6)"
    await wait_until(lambda: world.rows(held))
    assert listener.terminate() == 0
    assert await world.rows(held) == []


async def test_two_listeners_capture_the_same_payments_at_once(
    world: World, billing_database: DatabaseSettings, provider_ready: ProviderProcess
) -> None:
    async with World.opened(billing_database, provider_ready.url, PROVIDER_KEY) as other:
        sales = [(await sold_sale(world))[0] for _ in range(6)]
        await asyncio.gather(*(one.run("capture") for one in (world, other, world, other)))
        for sale in sales:
            await wait_until(lambda sale=sale: confirmed(sale))  # type: ignore[misc]
            await sale.ends("CONFIRMED")


async def test_a_step_done_twice_at_the_same_time_is_done_once(world: World) -> None:
    """As when the first worker was frozen for longer than the payment was his."""
    sale, _ = await sold_sale(world)
    async with world.pool.acquire() as conn:
        (due,) = await work.take(conn, PaymentState.SETTLED, 10, 0)
    await asyncio.gather(*(world.settlements.capture(due) for _ in range(4)))
    await sale.ends("CONFIRMED")
    lost = await world.placed()
    paid = await lost.pay()
    await lost.lost(paid.body["payment_id"])
    async with world.pool.acquire() as conn:
        (due,) = await work.take(conn, PaymentState.VOIDING, 10, 0)
    await asyncio.gather(*(world.settlements.void(due) for _ in range(4)))
    await lost.ends("FAILED")
    for order_id in (sale.hold_id, lost.hold_id):
        kinds = [payload.kind for payload in await world.staged(order_id)]
        assert len(kinds) == len(set(kinds))


async def test_a_payment_that_our_code_cannot_handle_does_not_stop_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bad, bad_payment), (good, _) = await sold_sale(world), await sold_sale(world)
    capture = world.provider.capture

    async def broken(authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        if key.startswith(bad_payment):
            raise KeyError("a bug")
        return await capture(authorization_id, amount_minor, key=key)

    monkeypatch.setattr(world.provider, "capture", broken)
    assert await world.run("capture") == 2
    await good.ends("CONFIRMED")
    monkeypatch.undo()
    await wait_until(lambda: world.run("capture"))
    await bad.ends("CONFIRMED")
