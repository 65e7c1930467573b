"""A whole event is refunded: by pages, once each, at the provider's pace, whoever is killed meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from billing.providers.port import Authorization
from billing.settings import DatabaseSettings
from tests.integration.billing.processes import BillingProcess
from tests.integration.billing.refunding import PRICE_MINOR, Office
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import OrderRefunded, TicketsVoided, new_id
from ticketflow.runtime.mariadb import execute

MANY = 300
SLOW_PER_S = 40


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    async with Office.opened(world) as opened:
        yield opened


@pytest.fixture
async def listener(
    billing_database: DatabaseSettings, provider_ready: ProviderProcess, tmp_path: Path
) -> AsyncIterator[BillingProcess]:
    environment = {"BILLING_REFUNDS_PER_S": str(SLOW_PER_S)}
    process = BillingProcess("listener", billing_database, provider_ready, tmp_path, environment)
    yield process
    process.kill()


async def cancel(office: Office, sales: list[Sale], *, key: str | None = None, **body: Any) -> dict[str, Any]:
    path = f"/events/{sales[0].hold.event_id}/cancellation"
    told = await office.post(path, {"reason": "storm"} | body, key)
    assert told.status == 202, told.body
    started: dict[str, Any] = told.body
    return started


async def progress(office: Office, sales: list[Sale]) -> dict[str, Any]:
    told = await office.get(f"/events/{sales[0].hold.event_id}/cancellation")
    assert told.status == 200, told.body
    body: dict[str, Any] = told.body
    return body


async def job_due(office: Office) -> None:
    """As if its pause, or the time of a worker that was killed, were over."""
    async with office.world.pool.transaction() as conn:
        await execute(conn, "UPDATE cancellations SET due_at = UTC_TIMESTAMP(6) WHERE state = 'RUNNING'")


async def work(office: Office, sales: list[Sale], *, until: str = "DONE") -> dict[str, Any]:
    """Both workers, until the job is there."""

    async def there() -> bool:
        await job_due(office)
        while await office.jobs.run_once():
            pass
        while await office.worker.run_once():
            pass
        return bool((await progress(office, sales))["state"] == until)

    await wait_until(there, timeout_s=120)
    return await progress(office, sales)


async def given_back_once(office: Office, sales: list[Sale]) -> None:
    """Every order REFUNDED, told once, and the provider keeps nothing."""
    for sale in sales:
        assert (await sale.order())["state"] == "REFUNDED"
        assert await office.kept_at_bank(sale) == 0
        kinds = [one.kind for one in await office.world.staged(sale.hold_id)]
        assert (kinds.count(TicketsVoided.kind), kinds.count(OrderRefunded.kind)) == (1, 1)
    await office.books_are_sound()


async def test_all_orders_of_an_event_and_of_no_other(world: World, office: Office) -> None:
    sales, (other,) = await office.an_event(5), await office.an_event(1)
    started = await cancel(office, sales, seats_back=True)
    assert (started["state"], started["orders"], started["seen"], started["requested"]) == ("RUNNING", 5, 0, 0)
    done = await work(office, sales)
    assert (done["refunded"], done["requested"], done["refused"], done["pending"]) == (5, 0, 0, 0)
    assert done["amount_minor"] == done["refunded_minor"] == 5 * PRICE_MINOR
    assert (done["currency"], done["refunded_last_minute"]) == ("EUR", 5)
    await given_back_once(office, sales)
    voided = [one for one in await world.staged(sales[0].hold_id) if isinstance(one, TicketsVoided)]
    assert [(one.seats_back, one.reason) for one in voided] == [(True, "storm")]
    assert (await other.order())["state"] == "CONFIRMED"
    assert await office.of(other) == []


async def test_what_was_refunded_in_part_or_failed_or_is_free(world: World, office: Office) -> None:
    sales = await office.an_event(4, seats=2, paid=False)
    await office.pay_all(sales[:3])
    first, _ = [ticket["ticket_id"] for ticket in (await sales[0].order())["tickets"]]
    await office.refunded(sales[0], tickets=[first], amount_minor=100)
    await office.refunded(sales[1])
    await sales[3].released()
    await cancel(office, sales)
    done = await work(office, sales)
    assert (done["refunded"], done["amount_minor"]) == (2, PRICE_MINOR + 2 * PRICE_MINOR)
    states = [(await sale.order())["state"] for sale in sales]
    assert states == ["PARTIALLY_REFUNDED", "REFUNDED", "REFUNDED", "FAILED"]
    await office.books_are_sound()


async def test_who_is_still_paying_is_met_in_a_later_pass(world: World, office: Office) -> None:
    sales = await office.an_event(3, paid=False)
    await office.pay_all(sales[:1])
    await cancel(office, sales)
    for _ in range(2):
        await job_due(office)
        while await office.jobs.run_once():
            pass
    shown = await progress(office, sales)
    assert (shown["state"], shown["pending"], shown["passes"]) == ("RUNNING", 2, 2)
    await office.pay_all(sales[1:2])
    await sales[2].expired()
    done = await work(office, sales)
    assert (done["refunded"], done["pending"]) == (2, 0)
    await given_back_once(office, sales[:2])


async def test_not_done_while_money_is_under_way_and_done_when_a_person_has_to_decide(
    world: World, office: Office
) -> None:
    sales = await office.an_event(2)
    await world.fault("refund", "error", count=2)
    await cancel(office, sales)
    for _ in range(3):
        await job_due(office)
        while await office.jobs.run_once():
            pass
    await office.worker.run_once()
    shown = await progress(office, sales)
    assert (shown["state"], shown["requested"], shown["refunded"]) == ("RUNNING", 2, 0)
    await world.fault("refund", "refuse")
    await office.due_now()
    done = await work(office, sales)
    assert (done["refused"], done["refunded"]) == (1, 1)
    (refused,) = [one for sale in sales for one in await office.of(sale) if one["state"] == "REFUSED"]
    await office.post(f"/refunds/{refused['refund_id']}/retry")
    await office.settled(*sales)
    await given_back_once(office, sales)


async def test_one_job_an_event_and_what_is_asked_twice(office: Office) -> None:
    sales, key = await office.an_event(1), new_id()
    path = f"/events/{sales[0].hold.event_id}/cancellation"
    assert (await office.get(path)).code == "cancellation_unknown"
    assert (await office.post(f"{path}/pause")).code == "cancellation_unknown"
    assert (await office.post(f"/events/{new_id()}/cancellation", {"reason": "x"})).code == "event_unknown"
    told = await asyncio.gather(*(cancel(office, sales, key=key) for _ in range(3)))
    assert len({one["job_id"] for one in told}) == 1
    other = await office.post(path, {"reason": "storm", "seats_back": True}, key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    second = await office.post(path, {"reason": "storm"})
    assert (second.status, second.code) == (409, "cancellation_running")
    await work(office, sales)
    for deed in ("pause", "resume"):
        assert (await office.post(f"{path}/{deed}")).code == "cancellation_done"
    again = await cancel(office, sales)
    assert again["job_id"] != told[0]["job_id"]
    done = await work(office, sales)
    assert (done["job_id"], done["refunded"]) == (again["job_id"], 0)
    await given_back_once(office, sales)


async def test_paused_means_that_nobody_is_refunded(world: World, office: Office) -> None:
    sales = await office.an_event(60)
    path = f"/events/{sales[0].hold.event_id}/cancellation"
    await cancel(office, sales)
    await office.jobs.run_once()  # the first page
    before = await progress(office, sales)
    assert (before["seen"], before["requested"]) == (50, 50)
    for _ in range(2):
        paused = await office.post(f"{path}/pause")
        assert (paused.status, paused.body["state"]) == (200, "PAUSED")
    assert (await office.jobs.run_once(), await office.worker.run_once()) == (0, 0)
    alone = await office.paid()
    await office.refunded(alone)  # what somebody asked for by itself is no part of it
    for _ in range(2):
        resumed = await office.post(f"{path}/resume")
        assert (resumed.status, resumed.body["state"], resumed.body["seen"]) == (200, "RUNNING", 50)
    done = await work(office, sales)
    assert done["refunded"] == 60
    await given_back_once(office, sales)


async def test_who_asks_alone_does_not_wait_behind_an_event(office: Office) -> None:
    sales, alone = await office.an_event(40), await office.paid()
    await cancel(office, sales)
    await office.jobs.run_once()
    await office.refund(alone)
    await office.worker.run_once()
    assert [refund["attempts"] for refund in await office.of(alone)] == [1]


async def test_killed_between_the_provider_and_our_commit(
    world: World, office: Office, listener: BillingProcess
) -> None:
    sale = await office.paid()
    await world.fault("refund", "timeout_after")
    await office.refund(sale)
    await listener.start()

    async def gone_at_bank() -> bool:
        return await office.kept_at_bank(sale) == 0

    await wait_until(gone_at_bank)
    listener.kill()
    assert (await sale.order())["state"] == "CONFIRMED"
    await office.due_now()
    await listener.start()

    async def refunded() -> bool:
        return bool((await sale.order())["state"] == "REFUNDED")

    await wait_until(refunded, timeout_s=30)
    await given_back_once(office, [sale])
    assert len(await world.rows("SELECT 1 FROM ledger_entries WHERE cause = 'refund'")) == 1


@pytest.mark.timeout(400)
async def test_a_large_event_killed_again_and_again_gives_back_each_cent_once(
    world: World, office: Office, listener: BillingProcess
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    sales = await office.an_event(MANY)
    await cancel(office, sales)
    for kind in ("drop_after", "error", "rate_limit", "error_after"):
        await world.fault("refund", kind, count=3)
    for _ in range(4):
        await listener.start()
        before = await progress(office, sales)
        enough = before["requested"] + before["refunded"] * 10 + rng.randint(1, 300)

        async def further(enough: int = enough) -> bool:
            shown = await progress(office, sales)
            return bool(shown["requested"] + shown["refunded"] * 10 >= enough or shown["refunded"] == MANY)

        await wait_until(further, timeout_s=60)
        listener.kill()
        await job_due(office)
        await office.due_now()
    await listener.start()

    async def done() -> bool:
        return bool((await progress(office, sales))["state"] == "DONE")

    await wait_until(done, timeout_s=180)
    end = await progress(office, sales)
    assert (end["refunded"], end["refunded_minor"]) == (MANY, MANY * PRICE_MINOR)
    await given_back_once(office, sales)


async def test_the_provider_is_asked_at_its_pace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it fails, and has to be asked again."""
    times: list[float] = []
    refund, read = world.provider.refund, world.provider.read

    async def noted(authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        times.append(asyncio.get_running_loop().time())
        return await refund(authorization_id, amount_minor, key=key)

    async def noted_read(authorization_id: str) -> Authorization | None:
        times.append(asyncio.get_running_loop().time())
        return await read(authorization_id)

    monkeypatch.setattr(world.provider, "refund", noted)
    monkeypatch.setattr(world.provider, "read", noted_read)
    async with Office.opened(world, per_s=20) as office:
        sales = await office.an_event(40)
        await world.fault("refund", "error", count=8)
        await cancel(office, sales)
        begun_s = asyncio.get_running_loop().time()
        await work(office, sales)
        await given_back_once(office, sales)
    assert len(times) >= 40 + 2 * 8  # what failed is looked at, and then tried again
    assert all(at_s - begun_s >= (nth - 0.1) / 20 for nth, at_s in enumerate(times))


async def test_two_workers_at_one_event(
    world: World, office: Office, billing_database: DatabaseSettings, provider_ready: ProviderProcess
) -> None:
    sales = await office.an_event(70)
    await cancel(office, sales)
    async with (
        World.opened(billing_database, provider_ready.url, PROVIDER_KEY) as elsewhere,
        Office.opened(elsewhere) as other,
    ):

        async def done() -> bool:
            await job_due(office)
            await asyncio.gather(
                *(one.jobs.run_once() for one in (office, other)), *(one.worker.run_once() for one in (office, other))
            )
            return bool((await progress(office, sales))["state"] == "DONE")

        await wait_until(done, timeout_s=120)
    await given_back_once(office, sales)
