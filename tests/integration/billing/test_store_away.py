"""MariaDB stops, or its answer to a COMMIT gets lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stack.servers.mariadb import MariaDBServer
from tests.integration.billing.refunding import Office
from tests.integration.billing.world import World
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.events import new_id
from ticketflow.runtime.errors import Indefinite


class Forgetful:
    """A pool whose nth transactions end without an answer; ``done``: whether they were committed."""

    def __init__(self, pool: Any, *, nth: set[int], done: bool) -> None:
        self._pool = pool
        self._nth = nth
        self._done = done
        self._count = 0

    def acquire(self) -> Any:
        return self._pool.acquire()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self._count += 1
        forget = self._count in self._nth
        async with self._pool.transaction() as conn:
            yield conn
            if forget and not self._done:
                raise Indefinite("no answer")
        if forget:
            raise Indefinite("no answer")


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("nth", [{1}, {2}, {1, 2}, {1, 3}, {2, 3}])
async def test_a_commit_without_an_answer_in_a_payment(world: World, nth: set[int], done: bool) -> None:
    sale, key = await world.placed(), new_id()
    world.payments._pool = Forgetful(world.pool, nth=nth, done=done)  # type: ignore[assignment]
    paid = await sale.pay(key=key)
    assert (paid.status, paid.body["state"]) == (201, "AUTHORIZED")
    assert (await sale.pay(key=key)).body == paid.body
    assert await sale.payment_states() == ["AUTHORIZED"]
    assert len(await world.at_bank(paid.body["payment_id"])) == 1
    assert [payload.kind for payload in await world.staged(sale.hold_id)] == ["order.pending", "payment.authorized"]


@pytest.mark.parametrize("done", [True, False])
async def test_a_commit_without_an_answer_in_a_refusal(world: World, done: bool) -> None:
    sale = await world.placed(lasts_s=-1)
    world.payments._pool = Forgetful(world.pool, nth={1}, done=done)  # type: ignore[assignment]
    assert (await sale.pay()).code == "hold_expired"


@pytest.mark.parametrize("done", [True, False])
async def test_a_commit_without_an_answer_in_a_capture(world: World, done: bool) -> None:
    sale = await world.placed()
    await sale.sold((await sale.pay()).body["payment_id"])
    world.settlements._pool = Forgetful(world.pool, nth={1}, done=done)  # type: ignore[assignment]
    await world.run("capture")
    await sale.ends("CONFIRMED")
    assert [payload.kind for payload in await world.staged(sale.hold_id)][2:] == ["ticket.issued", "order.confirmed"]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("answer", ["done", "refused"])
async def test_a_commit_without_an_answer_in_a_refund(world: World, done: bool, answer: str) -> None:
    async with Office.opened(world) as office:
        sale, key = await office.paid(), new_id()
        office.refunds._pool = Forgetful(world.pool, nth={1, 3}, done=done)  # type: ignore[assignment]
        asked = await office.refund(sale, key=key)
        assert (asked.status, (await office.refund(sale, key=key)).body) == (202, asked.body)
        office.refunds._pool = Forgetful(world.pool, nth={1, 3}, done=done)  # type: ignore[assignment]
        if answer == "refused":
            await world.fault("refund", "refuse")
        await office.settled(sale)
        assert await office.states(sale) == ["REFUSED" if answer == "refused" else "REFUNDED"]
        kinds = [payload.kind for payload in await world.staged(sale.hold_id)][-2:]
        assert kinds == (
            ["order.confirmed", "ticket.voided"] if answer == "refused" else ["ticket.voided", "order.refunded"]
        )
        await office.books_are_sound()


@pytest.mark.parametrize("done", [True, False])
async def test_a_commit_without_an_answer_in_a_cancellation(world: World, done: bool) -> None:
    async with Office.opened(world) as office:
        sales = await office.an_event(3)
        path = f"/events/{sales[0].hold.event_id}/cancellation"
        assert (await office.post(path, {"reason": "storm"})).status == 202
        office.jobs._pool = Forgetful(world.pool, nth={2, 5, 8}, done=done)  # type: ignore[assignment]
        await wait_until(lambda: office.jobs.run_once())
        for sale in sales:
            assert len(await office.of(sale)) == 1
        await office.settled(*sales)
        for sale in sales:
            assert (await sale.order())["state"] == "REFUNDED"
        await office.books_are_sound()


async def test_while_the_store_is_away_nothing_is_promised(
    world: World, mariadb_server: RunningServer[MariaDBServer]
) -> None:
    sale, key = await world.placed(), new_id()
    mariadb_server.stop()
    try:
        refused = await sale.pay(key=key)
    finally:
        mariadb_server.start()
    assert (refused.status, refused.code) == (503, "store_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1

    async def accepted() -> bool:
        return (await sale.pay(key=key)).status == 201

    await wait_until(lambda: accepted())
    assert await sale.payment_states() == ["AUTHORIZED"]


async def test_the_store_goes_away_while_the_provider_charges(
    world: World, mariadb_server: RunningServer[MariaDBServer]
) -> None:
    sale, key = await world.placed(), new_id()
    async with world.thinking() as answer:
        paying = asyncio.create_task(sale.pay(key=key))
        await wait_until(lambda: sale.has("payment_started"))
        payment_id = (await sale.order())["payments"][0]["payment_id"]
        mariadb_server.kill()
        answer()
        try:
            told = await paying
            assert (told.status, told.code) == (503, "outcome_unknown")
        finally:
            mariadb_server.start()

    async def found_out() -> bool:
        await world.age(payment_id)
        await world.run("resolver")
        return await sale.payment_states() == ["AUTHORIZED"]

    await wait_until(lambda: found_out())
    again = await sale.pay(key=key)
    assert (again.status, again.body["payment_id"]) == (201, payment_id)
    assert len(await world.at_bank(payment_id)) == 1
