"""What the provider does wrong on request."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.integration.sandbox.process import ProviderProcess
from tests.integration.sandbox.test_provider import Bank, get, post, wish
from tests.support.waiting import wait_until
from ticketflow.events import new_id


async def plan(bank: Bank, kind: str, **more: Any) -> None:
    async with bank.post("/v1/faults", json={"operation": "authorize", "kind": kind, **more}) as response:
        assert response.status == 201


async def held(bank: Bank, wanted: dict[str, Any]) -> int:
    """How many authorizations stand under the reference."""
    return len((await get(bank, "/v1/authorizations", reference=wanted["reference"]))["items"])


async def test_an_error_does_nothing_and_is_over_after_its_count(bank: Bank) -> None:
    await plan(bank, "error", count=2)
    wanted, key = wish(), new_id()
    assert [(await post(bank, "/v1/authorizations", wanted, key=key)).status for _ in range(3)] == [500, 500, 201]
    assert await held(bank, wanted) == 1


@pytest.mark.parametrize(("kind", "done"), [("drop", 0), ("drop_after", 1)])
async def test_a_dropped_connection(bank: Bank, kind: str, done: int) -> None:
    await plan(bank, kind)
    wanted = wish()
    with pytest.raises(aiohttp.ClientError):
        await post(bank, "/v1/authorizations", wanted)
    assert await held(bank, wanted) == done


async def test_charged_and_no_answer(provider: ProviderProcess, bank: Bank) -> None:
    wanted, key = wish("tok_timeout_after_charge"), new_id()
    async with provider.client() as client:
        asking = asyncio.create_task(post(client, "/v1/authorizations", wanted, key=key))
        await wait_until(lambda: held(bank, wanted))
        _done, waiting = await asyncio.wait({asking}, timeout=0.3)
        assert waiting
        asking.cancel()
    assert await held(bank, wanted) == 1
    assert (await post(bank, "/v1/authorizations", wanted, key=key)).status == 201
    assert await held(bank, wanted) == 1


async def test_delays_are_as_long_as_asked_for(provider: ProviderProcess, bank: Bank) -> None:
    await plan(bank, "delay", delay_s=0.4)
    async with provider.client(timeout_s=0.2) as hasty:
        with pytest.raises(TimeoutError):
            await post(hasty, "/v1/authorizations", wish())
    assert (await post(bank, "/v1/authorizations", wish())).status == 201


async def test_faults_can_be_listed_and_cleared(bank: Bank) -> None:
    await plan(bank, "error", count=5)
    assert [fault["count"] for fault in (await get(bank, "/v1/faults"))["items"]] == [5]
    async with bank.delete("/v1/faults") as response:
        assert response.status == 204
    assert (await get(bank, "/v1/faults"))["items"] == []
