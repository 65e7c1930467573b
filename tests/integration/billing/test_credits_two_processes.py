"""Two web processes and a listener, as in production, sell to a buyer whose credits do not last for all of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.hooked import HookedWorld, pay
from tests.integration.billing.processes import BillingProcess
from tests.integration.billing.world import Sale
from tests.integration.sandbox.process import ProviderProcess
from tests.support.buyer import Answer
from tests.support.waiting import wait_until


@pytest.fixture
async def webs(
    hooked: HookedWorld, billing_database: DatabaseSettings, sandbox: ProviderProcess, tmp_path: Path
) -> AsyncIterator[list[BillingProcess]]:
    async with AsyncExitStack() as stack:
        processes = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            process = BillingProcess("web", billing_database, sandbox, folder)
            stack.callback(process.kill)
            processes.append(process)
        await asyncio.gather(*(process.start() for process in processes))
        yield processes


async def test_twelve_purchases_at_two_processes_with_credits_for_five(
    hooked: HookedWorld, webs: list[BillingProcess]
) -> None:
    anna = hooked.buyer("anna")
    await anna.given(5 * 2500 + 2499)
    sales = [await hooked.placed(seats=1, buyer_id="anna") for _ in range(12)]

    async def buy(at: int, sale: Sale) -> Answer:
        return await pay(sale, "credits", base=webs[at % 2].base, headers=anna.headers)

    told = await asyncio.gather(*(buy(at, sale) for at, sale in enumerate(sales)))
    assert Counter(answer.status for answer in told) == {201: 5, 402: 7}
    assert {answer.code for answer in told if answer.status == 402} == {"insufficient_credits"}
    assert await anna.has() == (2499, 12_500)
    for sale, answer in zip(sales, told, strict=True):
        if answer.status == 201:
            await sale.sold(answer.body["payment_id"])

    async def all_spent() -> bool:
        await hooked.run("capture")
        found = await anna.has()
        assert found == (2499, 0), found
        return True

    await wait_until(all_spent)
    confirmed = [sale for sale in sales if (await sale.order())["state"] == "CONFIRMED"]
    assert len(confirmed) == 5
    await hooked.ledger_is_sound()
