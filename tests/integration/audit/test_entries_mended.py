"""Entries of the ledger that are mended one by one: with evidence, once, and in nobody's books but the order's."""

import pytest

from audit.money.repairs import Repaired
from billing.ledger import causes
from billing.store import ledger
from tests.integration.audit.plants import sold_in_the_books_of, write
from tests.integration.audit.town import Town
from ticketflow.events import new_id


async def of(town: Town, kind: str, id_: str) -> Repaired:
    """Of all events: other tests' plants are found as well."""
    (repaired,) = [
        said for said in await town.repair(kind, everywhere=True) if id_ in {known for _, known in said.difference.ids}
    ]
    return repaired


async def found(town: Town, *ids: str) -> set[str]:
    return {
        one.kind
        for one in await town.found(everywhere=True)
        if {*ids} & {known for _, known in (*one.ids, ("", one.order_id))}
    }


async def test_a_top_up_is_written_with_the_webhook_that_was_applied_to_it(town: Town) -> None:
    buyer = new_id()
    topup_id = await town.topped_up(buyer, 700, booked=False)
    webhook_id = await town.told_of(topup_id)
    assert (await of(town, "ledger_topup_missing", topup_id)).became == "done"
    rows = await town.rows(
        "SELECT evidence, account, amount_minor FROM ledger_entries JOIN ledger_postings USING (entry_id)"
        " WHERE cause = 'topup' AND cause_id = %s ORDER BY account",
        topup_id,
    )
    assert rows == [
        {"evidence": webhook_id, "account": "clearing:sandbox", "amount_minor": 700},
        {"evidence": webhook_id, "account": f"wallet:{buyer}", "amount_minor": -700},
    ]
    assert await found(town, topup_id) == set()


@pytest.mark.parametrize("state", [None, "UNMATCHED", "IGNORED"])
async def test_a_top_up_without_an_applied_webhook_is_left_to_a_person(town: Town, state: str | None) -> None:
    topup_id = await town.topped_up(new_id(), 700, booked=False)
    if state is not None:
        await town.told_of(topup_id, state=state)
    repaired = await of(town, "ledger_topup_missing", topup_id)
    assert repaired.became == "refused"
    assert repaired.said.startswith("no webhook was applied to it")
    assert await found(town, topup_id) == {"ledger_topup_missing"}


async def test_a_top_up_whose_money_is_not_there_is_left_to_a_person(town: Town) -> None:
    topup_id = await town.topped_up(new_id(), 700, booked=False, paid=False)
    await town.told_of(topup_id)
    repaired = await of(town, "ledger_topup_missing", topup_id)
    assert (repaired.became, repaired.said) == ("refused", "the provider keeps 0 of it: see topup_credited_not_paid")


async def test_one_webhook_is_the_evidence_of_one_top_up(town: Town) -> None:
    first, second = [await town.topped_up(new_id(), 700, booked=False) for _ in range(2)]
    webhook_id = await town.told_of(first)
    assert (await of(town, "ledger_topup_missing", first)).became == "done"
    await town.change("UPDATE webhooks SET reference = %s WHERE webhook_id = %s", second, webhook_id)
    repaired = await of(town, "ledger_topup_missing", second)
    assert repaired.became == "refused"
    assert "is the evidence of another one" in repaired.said


async def test_what_is_frozen_of_a_top_up_that_was_not_paid_is_lost_again_when_it_is_released(town: Town) -> None:
    buyer = new_id()
    topup_id = await town.topped_up(buyer, 700, paid=False)
    assert (await of(town, "topup_credited_not_paid", topup_id)).said == f"froze 700 under {topup_id}"
    assert await found(town, topup_id) == set()
    async with town.world.pool.transaction() as conn:
        await ledger.record(conn, [causes.unfreeze_part(topup_id, buyer, 700, "EUR")])
    assert await found(town, topup_id) == {"topup_credited_not_paid"}
    assert (await of(town, "topup_credited_not_paid", topup_id)).said == "it was frozen before, and released"


async def test_what_its_buyer_has_spent_of_a_top_up_is_left_to_a_person(town: Town) -> None:
    buyer = new_id()
    topup_id = await town.topped_up(buyer, 700, paid=False)
    await town.sold(1, credits_minor=500, buyer_id=buyer)
    repaired = await of(town, "topup_credited_not_paid", topup_id)
    assert repaired.said == f"froze 200 under {topup_id}; 500 are spent: ask the buyer"
    assert await found(town, topup_id) == {"topup_credited_not_paid"}
    repaired = await of(town, "topup_credited_not_paid", topup_id)
    assert (repaired.became, repaired.difference.amount_minor) == ("refused", 500)


async def test_nothing_is_frozen_beside_what_an_operator_has_frozen(town: Town) -> None:
    buyer, freeze_id = new_id(), new_id()
    await town.topped_up(buyer, 700)
    topup_id = await town.topped_up(buyer, 700, paid=False)
    async with town.world.pool.transaction() as conn:
        await ledger.record(conn, [causes.freeze_part(freeze_id, buyer, 700, "EUR", "the bank asks")])
    repaired = await of(town, "topup_credited_not_paid", topup_id)
    assert repaired.said == f"a part of its buyer's credits is frozen already, and may be these: {freeze_id}"


async def test_a_sale_in_anothers_books_is_moved_once(town: Town) -> None:
    other = new_id()
    order_id, entry_id = await sold_in_the_books_of(town, other)
    assert await found(town, entry_id, order_id) == {"wrong_event", "ledger_differs"}
    assert (await of(town, "wrong_event", entry_id)).became == "done"
    assert await found(town, entry_id, order_id) == set()
    rows = await town.rows(
        "SELECT account, CAST(SUM(balance_minor) AS SIGNED) AS minor FROM ledger_balances WHERE account IN (%s, %s)"
        " GROUP BY account",
        f"sales:{other}",
        f"sales:{town.event.event_id}",
    )
    assert {row["account"]: row["minor"] for row in rows} == {
        f"sales:{other}": 0,
        f"sales:{town.event.event_id}": -2500,
    }


async def test_the_orders_own_correction_of_such_an_entry_counts_as_well(town: Town) -> None:
    order_id, entry_id = await sold_in_the_books_of(town, new_id())
    (repaired,) = await town.repair("ledger_differs")
    assert (repaired.became, repaired.difference.order_id) == ("done", order_id)
    assert await found(town, entry_id, order_id) == set()


async def test_an_entry_of_no_order_is_left_to_a_person(town: Town) -> None:
    lines = {"clearing:sandbox": 3, f"sales:{new_id()}": -3}
    entry_id = await write(town, "capture", lines, new_id())
    repaired = await of(town, "wrong_event", entry_id)
    assert repaired.became == "refused"
    assert repaired.said.startswith("it is of no order that is there")
