"""Refunds by billing's own code, places that go back included: no differences at any step, and the money adds up."""

from billing.refunds.deciding import Ask
from billing.refunds.rules import Wish
from tests.integration.audit.town import Town
from tests.integration.billing.refunding import Office
from ticketflow.events import new_id


async def refund(town: Town, order_id: str, wish: Wish, *, seats_back: bool = False) -> str:
    """Decided, not carried out: its id."""
    ask = Ask(order_id, new_id(), b"x" * 32, wish, "changed plans", seats_back)
    answer, _ = await Office(town.world).refunds.request(ask)
    assert answer.status == 202
    rows = await town.rows("SELECT refund_id FROM refunds WHERE order_id = %s ORDER BY refund_id DESC", order_id)
    return str(rows[0]["refund_id"])


async def paid_back(town: Town) -> None:
    office = Office(town.world)
    while await office.worker.run_once():
        pass
    await town.carry()


async def a_ticket_of(town: Town, order_id: str) -> str:
    rows = await town.rows(
        "SELECT ticket_id FROM tickets WHERE order_id = %s AND voided_at IS NULL ORDER BY ticket_id", order_id
    )
    return str(rows[0]["ticket_id"])


async def test_refunds_with_credits_a_fee_and_places_that_go_back(town: Town) -> None:
    await town.topped_up("fay", 3000)
    card, mixed, fee = await town.sold(2), await town.sold(2, credits_minor=3000, buyer_id="fay"), await town.sold(1)
    await refund(town, card, Wish(tickets=(await a_ticket_of(town, card),)), seats_back=True)
    await refund(town, mixed, Wish(), seats_back=True)
    await refund(town, fee, Wish(amount_minor=2000))
    assert await town.found() == []
    await town.carry()
    assert await town.found() == []
    await paid_back(town)
    outcome = await town.audit()
    assert outcome.differences == []
    (totals,) = outcome.events
    assert totals.orders == {"PARTIALLY_REFUNDED": 2, "REFUNDED": 1}
    assert (totals.captured_minor, totals.refunded_minor) == (12500, 2500 + 5000 + 2000)
    assert (totals.good_minor, totals.kept_minor, totals.owed_minor, totals.identity) == (2500, 500, 0, True)
    assert (totals.seats["sold"], totals.ledger_refunds_minor) == (2, 9500)
    assert totals.at_provider_refunded_minor == 2500 + 2000 + 2000


async def test_a_refund_that_is_stuck_is_looked_at_and_carried_out(town: Town) -> None:
    order_id = await town.sold(1)
    refund_id = await refund(town, order_id, Wish())
    await town.carry()
    await town.change(
        "UPDATE refunds SET changed_at = changed_at - INTERVAL 1 HOUR, due_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR"
        " WHERE refund_id = %s",
        refund_id,
    )
    await paid_back(town)
    (stuck,) = await town.repair("refund_stuck")
    assert (stuck.became, stuck.difference.ids) == ("done", (("refund", refund_id),))
    await paid_back(town)
    assert await town.found() == []


async def test_places_that_were_to_go_back_and_did_not_are_asked_back_again(town: Town) -> None:
    order_id = await town.sold(2)
    refund_id = await refund(town, order_id, Wish(tickets=(await a_ticket_of(town, order_id),)), seats_back=True)
    await town.tell_the_portal()
    await town.show("DELETE FROM delivery_outbox")  # sale.return is lost
    await paid_back(town)
    (one,) = await town.repair("seats_not_returned")
    assert (one.became, one.difference.id_of("refund")) == ("done", refund_id)
    await town.carry()
    assert await town.found() == []
