"""A payment on the provider's own page, end to end, with each provider: the webhook tells, billing asks and acts."""

import pytest

from billing.store import work
from tests.integration.billing.hooked import PROVIDERS, HookedWorld, pay, redirected
from tests.integration.billing.world import Sale
from tests.support.waiting import wait_until
from ticketflow.events import PaymentAuthorized
from ticketflow.runtime.mariadb import execute

pytestmark = pytest.mark.parametrize("hooked", PROVIDERS, indirect=True)


async def confirmed(world: HookedWorld, sale: Sale) -> bool:
    await world.run("webhooks", "capture")
    state = (await sale.order())["state"]
    assert state == "CONFIRMED", state
    return True


async def failed(world: HookedWorld, sale: Sale) -> bool:
    """And nothing is kept."""
    await world.run("webhooks", "void", "recheck-failed", "recheck-voided")
    await sale.ends("FAILED")
    return True


async def authorised(world: HookedWorld, sale: Sale) -> bool:
    """By webhooks alone: no worker has asked."""
    await world.run("webhooks")
    codes = await sale.codes()
    assert "payment_authorized" in codes, codes
    return True


async def nothing_kept(world: HookedWorld, payment_id: str) -> bool:
    await world.run("webhooks", "recheck-failed")
    kept_minor = await world.kept_minor(payment_id)
    assert kept_minor == 0, kept_minor
    return True


async def test_a_page_that_is_paid_brings_tickets(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    payment_id, page = await redirected(sale)
    assert await hooked.run("resolver", "webhooks") == 0
    assert await hooked.on_the_page(page) < 400
    await wait_until(lambda: authorised(hooked, sale))
    told = [payload for payload in await hooked.staged(sale.hold_id) if isinstance(payload, PaymentAuthorized)]
    assert [payload.payment_id for payload in told] == [payment_id]
    await sale.sold(payment_id)
    await wait_until(lambda: confirmed(hooked, sale))
    await sale.ends("CONFIRMED")
    await wait_until(hooked.all_sent)  # those of our own capture, too
    await wait_until(hooked.applied)
    await hooked.ledger_is_sound()


async def test_a_page_that_nobody_pays_on_is_an_abandoned_payment(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    payment_id, _ = await redirected(sale)
    async with hooked.pool.acquire() as conn:
        waiting = await work.waiting(conn)
    assert list(waiting) == [work.WAITING_FOR_BUYER]
    assert waiting[work.WAITING_FOR_BUYER][1] < -80_000  # its age begins when its page is over
    await hooked.age(payment_id)
    assert await hooked.run("resolver") == 1
    assert await sale.payment_states() == ["STARTED"]
    await _page_is_over(hooked, payment_id)
    await hooked.age(payment_id, 86_400)
    await hooked.run("resolver")
    payment = (await sale.order())["payments"][0]
    assert (payment["state"], payment["reason"]) == ("FAILED", "abandoned")


async def test_a_page_is_asked_about_ever_more_rarely_and_when_it_is_over(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    payment_id, _ = await redirected(sale)
    waits: list[float] = []
    for age_s in (0, 100, 10_000):
        await hooked.age(payment_id, age_s)
        waits.append(await _asked_again_in(hooked))
    assert waits[0] < waits[1] < waits[2] <= 900
    await _page_is_over(hooked, payment_id, ago_s=290)
    await hooked.age(payment_id, 0)
    assert await _asked_again_in(hooked) <= 11


async def test_declined_there_and_then_paid(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    payment_id, page = await redirected(sale)
    assert await hooked.on_the_page(page, "tok_declined") == 402
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    assert await sale.payment_states() == ["STARTED"]
    assert await hooked.on_the_page(page) < 400
    await wait_until(lambda: authorised(hooked, sale))
    await sale.sold(payment_id)
    await wait_until(lambda: confirmed(hooked, sale))
    await sale.ends("CONFIRMED")


async def test_paid_twice_one_goes_back(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    payment_id, page = await redirected(sale)
    await hooked.on_the_page(page)
    await wait_until(lambda: authorised(hooked, sale))
    await hooked.paid_beside(payment_id, 5000)
    assert len(await hooked.at_bank(payment_id)) == 2
    await hooked.every_webhook_anew()
    await wait_until(hooked.applied)
    items = await hooked.at_bank(payment_id)
    assert sorted(item["state"] for item in items if item["captured_minor"] == 0) == sorted(
        ["voided"] if hooked.provider.name == "mercadopago" else ["authorized", "voided"]
    )
    await sale.sold(payment_id)
    await wait_until(lambda: confirmed(hooked, sale))
    await sale.ends("CONFIRMED")


async def test_replaced_by_a_card_and_paid_all_the_same_the_page_s_money_goes_back(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    by_page, page = await redirected(sale)
    by_card = await sale.pay(hooked.card())
    assert by_card.status == 201
    assert await hooked.on_the_page(page) < 400
    await wait_until(hooked.all_sent)
    await wait_until(lambda: nothing_kept(hooked, by_page))
    await sale.sold(by_card.body["payment_id"])
    await wait_until(lambda: confirmed(hooked, sale))
    await sale.ends("CONFIRMED")
    assert await sale.payment_states() == ["FAILED", "CAPTURED"]
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    assert await hooked.kept_minor(by_page) == 0


async def test_a_second_page_takes_the_place_of_the_first(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    first, first_page = await redirected(sale)
    second, second_page = await redirected(sale)
    for page in (second_page, first_page):
        assert await hooked.on_the_page(page) < 400
    await wait_until(hooked.all_sent)
    await wait_until(lambda: nothing_kept(hooked, first))
    await wait_until(lambda: authorised(hooked, sale))
    await sale.sold(second)
    await wait_until(lambda: confirmed(hooked, sale))
    await sale.ends("CONFIRMED")


async def test_paid_after_the_hold_has_ended_reservation_decides(hooked: HookedWorld) -> None:
    """It may still find seats; if not the money goes back."""
    for found in (True, False):
        sale = await hooked.placed()
        payment_id, page = await redirected(sale)
        await sale.expired()
        assert (await sale.order())["state"] == "PENDING"
        assert (await pay(sale, "redirect")).code == "hold_expired"  # which leaves the first page as it is
        assert await hooked.on_the_page(page) < 400
        await wait_until(lambda sale=sale: authorised(hooked, sale))  # type: ignore[misc]
        if found:
            await sale.sold(payment_id)
            await wait_until(lambda sale=sale: confirmed(hooked, sale))  # type: ignore[misc]
        else:
            await sale.lost(payment_id)
            await wait_until(lambda sale=sale: failed(hooked, sale))  # type: ignore[misc]


async def test_paid_in_the_last_second_of_the_page_is_found_without_a_webhook(hooked: HookedWorld) -> None:
    sale = await hooked.placed()
    payment_id, page = await redirected(sale)
    await hooked.manners(paused=True)
    assert await hooked.on_the_page(page) < 400
    await _page_is_over(hooked, payment_id)
    await hooked.age(payment_id, 86_400)
    await hooked.run("resolver")
    assert await sale.has("payment_authorized")


async def _asked_again_in(world: HookedWorld) -> float:
    await world.run("resolver")
    (row,) = await world.rows("SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), due_at) AS wait_s FROM payments")
    return float(row["wait_s"])


async def _page_is_over(world: HookedWorld, payment_id: str, ago_s: int = 86_400) -> None:
    async with world.pool.transaction() as conn:
        await execute(
            conn,
            "UPDATE payments SET redirect_until = UTC_TIMESTAMP(6) - INTERVAL %s SECOND WHERE payment_id = %s",
            (ago_s, payment_id),
        )
