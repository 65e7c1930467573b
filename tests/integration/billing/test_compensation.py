"""The compensation matrix of docs/money.md: one test for each cell.

A cell is a step that fails (made to fail for real: by the provider, by the store's own constraints, by what
reservation says, by nobody coming back) and a way to pay, which says what had succeeded before it. Whatever it is, the
order ends with tickets and its total, or with neither; credits are spent or back; the ledger is whole.
"""

from collections.abc import Awaitable, Callable

import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.compensation import WALLET, Cell, Way, provider_for
from tests.integration.billing.world import World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute

Play = Callable[[Cell], Awaitable[None]]


async def insufficient_credits(cell: Cell) -> None:
    """Nothing had succeeded. The buyer is told at once; the same request works when there is enough."""
    key = new_id()
    await cell.take_credits_away()
    refused = await cell.pay(key=key)
    assert (refused.status, refused.body["code"]) == (402, "insufficient_credits")
    assert await cell.world.credits(cell.buyer) == (500, 0)
    assert (await cell.sale.order())["payments"] == []
    await cell.world.give_credits(cell.buyer, WALLET)
    assert (await cell.pay(key=key)).status == 201


async def card_declined(cell: Cell) -> None:
    """Credits were frozen: they can be spent again, and another card may be tried."""
    declined = await cell.pay(card="tok_declined")
    assert (declined.status, declined.body["code"]) == (402, "card_declined")
    await cell.nothing_is_kept()
    assert (await cell.pay()).status == 201


async def provider_down(cell: Cell) -> None:
    """Credits were frozen: they can be spent again, and so can the key."""
    key = new_id()
    await cell.world.fault("begin" if cell.way.by_page else "authorize", "rate_limit")
    refused = await cell.pay(key=key)
    assert (refused.status, refused.body["code"]) == (503, "provider_unavailable")
    await cell.nothing_is_kept()
    assert (await cell.pay(key=key)).status == 201


async def charged_without_an_answer(cell: Cell) -> None:
    """Money was set aside, and nobody was told: found out by our reference, and never charged again."""
    await cell.world.fault("authorize", "timeout_after")
    unknown = await cell.pay()
    assert (unknown.status, unknown.body["state"]) == (202, "STARTED")
    await cell.work("resolver")
    await cell.settle_and_capture()
    await cell.sale.ends("CONFIRMED")
    assert len(await cell.world.at_bank(cell.payment_id)) == 1


async def no_answer_and_no_charge(cell: Cell) -> None:
    """Credits were frozen and nothing else: when the provider is sure to know nothing, they are the buyer's again."""
    await cell.world.fault("authorize", "drop")
    assert (await cell.pay()).status == 202
    await cell.world.age(cell.payment_id)
    await cell.work("resolver")
    await cell.nothing_is_kept()
    assert (await cell.pay()).status == 201


async def nobody_came_back(cell: Cell) -> None:
    """The page of the provider's was opened and never paid: the order fails when nobody can pay there any more."""
    assert (await cell.pay()).status == 201
    await cell.sale.expired()
    assert (await cell.sale.order())["state"] == "PENDING"
    await cell.page_is_over()
    await cell.work("resolver")
    await cell.ends_failed("expired")


async def seats_lost(cell: Cell) -> None:
    """Money was set aside (on the page: taken), credits frozen: all of it goes back."""
    await cell.paid()
    await cell.sale.lost(cell.payment_id, "taken")
    await cell.work("void")
    await cell.ends_failed("taken")


async def seats_were_given_back(cell: Cell) -> None:
    """The buyer released the hold while the money was on its way."""
    await cell.paid()
    await cell.sale.released()
    await cell.sale.lost(cell.payment_id, "released")
    await cell.work("void")
    await cell.ends_failed("released")


async def word_lost(cell: Cell) -> None:
    """Money was set aside and reservation's word about the seats never came: it is asked again."""
    await cell.paid()
    asked = await cell.told("payment.authorized")
    await cell.work("nudge")
    assert await cell.told("payment.authorized") == asked + 1
    await cell.settle_and_capture()
    await cell.sale.ends("CONFIRMED")


async def void_fails(cell: Cell) -> None:
    """The seats are lost, and the provider does not let go at first: asked until it has."""
    await cell.paid()
    for kind in ("error", "drop_after"):
        await cell.world.fault("refund" if cell.way is Way.PAGE_TAKEN else "void", kind)
    await cell.sale.lost(cell.payment_id, "taken")
    for _ in range(3):
        await cell.work("void")
    await cell.ends_failed("taken")


async def capture_has_no_answer(cell: Cell) -> None:
    """The seats are sold, the money is taken, and nobody was told: asked again under the same key."""
    await cell.paid()
    await cell.world.fault("capture", "drop_after")
    await cell.sale.sold(cell.payment_id)
    await cell.work("capture")
    assert (await cell.sale.order())["state"] == "PENDING"
    await cell.work("capture")
    await cell.sale.ends("CONFIRMED")


async def capture_refused(cell: Cell) -> None:
    """The seats are sold, and the money is no longer there (the bank let go of it): the seats go back."""
    await cell.paid()
    await cell.let_go_at_the_bank()
    await cell.sale.sold(cell.payment_id)
    await cell.work("capture")
    await cell.work("void")
    await cell.ends_failed("capture_refused")


async def tickets_fail(cell: Cell) -> None:
    """The seats are sold and the money is taken, and the tickets cannot be written: it all goes back."""
    await cell.paid()
    await cell.sale.sold(cell.payment_id)
    async with cell.world.pool.transaction() as conn:
        row = (new_id(), cell.sale.hold_id, cell.sale.hold.lines[0].unit_id, cell.sale.hold.event_id)
        columns = "ticket_id, order_id, unit_id, event_id, tier, label"
        await execute(conn, f"INSERT INTO tickets ({columns}) VALUES (%s, %s, %s, %s, 'x', 'x')", row)
    for _ in range(8):
        await cell.work("capture")
    async with cell.world.pool.transaction() as conn:
        await execute(conn, "DELETE FROM tickets WHERE order_id = %s", (cell.sale.hold_id,))
    await cell.work("void")
    await cell.ends_failed("tickets_failed")


async def replaced_and_paid(cell: Cell) -> None:
    """The buyer left the page and paid by credits, and then on the page too: that money goes back."""
    assert (await cell.pay()).status == 201
    page = cell.payment_id
    assert (await cell.pay(way=Way.CREDITS)).status == 201
    await cell.pay_on_the_page()
    await cell.world.due(page)
    await cell.world.run("recheck-failed")
    assert [item["captured_minor"] - item["refunded_minor"] for item in await cell.world.at_bank(page)] == [0]
    await cell.settle_and_capture()
    await cell.sale.ends("CONFIRMED")


STEPS: dict[str, tuple[Play, tuple[Way, ...]]] = {
    play.__name__: (play, ways)
    for play, ways in {
        insufficient_credits: (Way.MIXED, Way.CREDITS),
        card_declined: (Way.CARD, Way.MIXED),
        provider_down: (Way.CARD, Way.MIXED, Way.PAGE, Way.PAGE_TAKEN),
        charged_without_an_answer: (Way.CARD, Way.MIXED),
        no_answer_and_no_charge: (Way.CARD, Way.MIXED),
        nobody_came_back: (Way.PAGE, Way.PAGE_TAKEN),
        seats_lost: tuple(Way),
        seats_were_given_back: tuple(Way),
        word_lost: tuple(Way),
        void_fails: (Way.CARD, Way.MIXED, Way.PAGE, Way.PAGE_TAKEN),
        capture_has_no_answer: (Way.CARD, Way.MIXED, Way.PAGE),
        capture_refused: (Way.CARD, Way.MIXED, Way.PAGE),
        tickets_fail: tuple(Way),
        replaced_and_paid: (Way.PAGE, Way.PAGE_TAKEN),
    }.items()
}


@pytest.mark.parametrize(("step", "way"), [(step, way) for step, (_, ways) in STEPS.items() for way in ways])
async def test_cell(step: str, way: Way, billing_database: DatabaseSettings, provider_ready: ProviderProcess) -> None:
    url = provider_ready.url
    async with World.opened(billing_database, url, PROVIDER_KEY, provider_for(way, url)) as world:
        await STEPS[step][0](await Cell.prepared(world, way))
