"""In the running stack seats, orders, ledger, provider and portal say the same, also after a kill in mid-sale."""

import asyncio
import re

import aiohttp
import pytest

from tests.support.accounts import all_confirmed
from tests.support.buyer import Buyer, Event, Purchase, Shop
from tests.support.commands import Said, module
from tests.support.ring import Ring
from tests.support.waiting import wait_until


async def audit(ring: Ring, event: Event) -> Said:
    environment = {
        "TICKETFLOW_RUN_DIR": str(ring.stack.settings.run),
        "AUDIT_GRACE_S": "0",
        "AUDIT_CONFIRM_S": "0.5",
        "AUDIT_PROVIDER_RATE": "200",
    }
    return await module("audit", environment, "--event", event.event_id, "--json")


async def buy(event: Event, seat: str) -> Purchase:
    purchase = await Buyer(event.shop).hold(event, [seat])
    await purchase.pay_through()
    return purchase


@pytest.mark.timeout(240)
async def test_all_say_the_same_once_the_sales_are_over(shop: Shop, ring: Ring) -> None:
    event = await shop.event(seats=12)
    sales = [asyncio.create_task(buy(event, seat)) for seat in event.seats[:9]]
    released = await Buyer(shop).hold(event, [event.seats[9]])
    assert (await released.pay(card="tok_declined")).status == 402
    assert (await released.release()).status in (200, 204)
    held = await Buyer(shop).hold(event, [event.seats[10]])
    await ring.kill("billing-listener")
    await all_confirmed(ring, event, await asyncio.gather(*sales))

    said: Said | None = None

    async def clean() -> bool:
        nonlocal said
        said = await audit(ring, event)
        assert said.code == 0, said.json["reconciliation"]["differences"]
        return True

    await wait_until(clean, timeout_s=90, interval_s=1)
    assert said is not None
    (totals,) = said.json["reconciliation"]["events"]
    assert (totals["captured_minor"], totals["good_minor"], totals["identity"]) == (9 * 2500, 9 * 2500, True)
    assert totals["provider"]["captured_minor"] == 9 * 2500
    assert totals["orders"] == {"CONFIRMED": 9, "FAILED": 1, "PENDING": 1}
    assert (await held.release()).status in (200, 204)


async def test_the_auditor_goes_round(ring: Ring) -> None:
    url = f"http://127.0.0.1:{ring.stack.ports.auditor}/metrics"

    async def has_gone_round() -> bool:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            found = re.findall(r'^audit_rounds_total\{result="\w+"\} (\S+)$', await response.text(), re.MULTILINE)
        return any(float(count) >= 1 for count in found)

    await wait_until(has_gone_round, timeout_s=90, interval_s=0.5)
