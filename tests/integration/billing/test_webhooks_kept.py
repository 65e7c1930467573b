"""How long webhooks are kept, and what is counted of those that wait."""

from billing.store import topups, webhooks
from billing.webhooks.workers import InboxWatch, WebhookPurge
from tests.integration.billing.hooked import HookedWorld
from tests.support.waiting import wait_until
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute


async def test_what_is_over_goes_but_for_what_credits_rest_on(hooked: HookedWorld) -> None:
    anna = hooked.buyer("anna")
    begun = (await anna.begin()).body
    await hooked.on_the_page(begun["redirect_url"])
    await wait_until(lambda: anna.topup_is(begun["topup_id"], "CREDITED"))
    await wait_until(hooked.all_sent)
    await wait_until(hooked.applied)
    evidence = (await hooked.rows("SELECT evidence FROM ledger_entries"))[0]["evidence"]
    assert len(await hooked.webhooks()) == 2
    await hooked.provider.authorize(reference=new_id(), amount_minor=5, currency="EUR", card_token="tok_ok")
    await wait_until(hooked.all_sent)
    await hooked.run("webhooks")  # UNMATCHED: it still waits
    assert await WebhookPurge(hooked.pool).run_once() == 0
    async with hooked.pool.transaction() as conn:
        await execute(conn, "UPDATE webhooks SET received_at = received_at - INTERVAL 91 DAY")
    assert await WebhookPurge(hooked.pool).run_once() == 1
    left = await hooked.webhooks()
    assert {row["webhook_id"] for row in left if row["state"] == "APPLIED"} == {evidence}
    assert [row["state"] for row in left if row["state"] != "APPLIED"] == ["UNMATCHED"]


async def test_what_waits_is_counted_with_its_age(hooked: HookedWorld) -> None:
    anna = hooked.buyer("anna")
    await anna.begin()
    await hooked.provider.authorize(reference=new_id(), amount_minor=5, currency="EUR", card_token="tok_ok")
    await wait_until(hooked.all_sent)
    await hooked.run("webhooks")
    async with hooked.pool.transaction() as conn:
        await execute(conn, "UPDATE webhooks SET received_at = received_at - INTERVAL 100 SECOND")
    async with hooked.pool.acquire() as conn:
        waiting, bought = await webhooks.waiting(conn), await topups.waiting(conn)
    assert (list(waiting), waiting["UNMATCHED"][0]) == (["UNMATCHED"], 1)
    assert waiting["UNMATCHED"][1] >= 100
    assert (list(bought), bought["STARTED"][0]) == (["STARTED"], 1)
    assert bought["STARTED"][1] < 0  # nobody has to look yet
    assert await InboxWatch(hooked.pool).run_once() == 0
