"""A repair that cannot be sure does nothing, and says what a person has to look at."""

from audit.money.repairs import Repaired
from tests.integration.audit.plants import sell, untold
from tests.integration.audit.town import Town
from ticketflow.events import new_id


async def one(town: Town, kind: str) -> Repaired:
    (repaired,) = await town.repair(kind)
    return repaired


async def nothing_done(town: Town) -> bool:
    return [await town.staged(store) for store in ("reservation", "billing", "portal")] == [[], [], []]


async def test_places_that_somebody_else_has_by_now_are_not_taken_back(town: Town) -> None:
    order_id = await town.sold(1)
    taken = town.event.seats[0]
    await town.reserve("UPDATE units SET state = 'free', hold_id = NULL WHERE hold_id = $1", order_id)
    await town.reserve("UPDATE hold_units SET sold = false WHERE hold_id = $1", order_id)
    await town.reserve("UPDATE holds SET state = 'EXPIRED', payment_id = NULL WHERE hold_id = $1", order_id)
    town.free.insert(0, taken)
    await town.sold(1)
    repaired = await one(town, "order_confirmed_seat_not_sold")
    assert (repaired.became, repaired.difference.order_id) == ("refused", order_id)
    assert repaired.said == "others have its places: give its buyer other places, or refund the tickets"
    assert await nothing_done(town)


async def test_places_of_an_unknown_order_stay_sold_while_the_provider_keeps_its_money(town: Town) -> None:
    hold_id = await untold(town)
    payment_id, _ = await sell(town, hold_id)
    await town.take(payment_id, 2500)
    repaired = await one(town, "seat_sold_without_order")
    assert repaired.became == "refused"
    assert repaired.said.startswith("the provider has money for it")
    kept = await one(town, "money_kept_without_tickets")
    assert (kept.became, kept.said) == ("done", "refunded 2500 at the provider")
    assert (await one(town, "seat_sold_without_order")).became == "done"
    await town.carry()
    assert await town.found() == []


async def test_tickets_are_not_issued_for_places_that_are_not_sold(town: Town) -> None:
    order_id = await town.sold(1)
    await town.change("DELETE FROM tickets WHERE order_id = %s", order_id)
    await town.show("DELETE FROM sale_tickets WHERE order_id = $1", order_id)
    await town.reserve("UPDATE units SET state = 'free', hold_id = NULL WHERE hold_id = $1", order_id)
    repaired = await one(town, "tickets_missing")
    assert repaired.said == "its places are not sold to it: see order_confirmed_seat_not_sold"
    assert await nothing_done(town)


async def test_a_ledger_that_refuses_is_heard(town: Town) -> None:
    """Credits that were never frozen cannot be taken."""
    order_id = await town.sold(1, buyer_id="eve")
    payment_id = (await town.payment_of(order_id))["payment_id"]
    await town.change("UPDATE payments SET credits_minor = 1000 WHERE payment_id = %s", payment_id)
    said = [repaired for repaired in await town.repair("ledger_differs") if "freeze" in repaired.difference.detail]
    assert [repaired.became for repaired in said] == ["refused"]
    assert said[0].said.startswith("the ledger refuses freeze")


async def test_who_repairs_twice_repairs_once(town: Town) -> None:
    """The second has nothing to do, or does the same: never twice."""
    order_id = await town.sold(2)
    await town.refunded(order_id, at_provider=False)
    payment = await town.payment_of(order_id)
    await one(town, "provider_refunded_less")
    assert await town.repair("provider_refunded_less") == []
    (found,) = await town.world.at_bank(payment["payment_id"])
    assert found["refunded_minor"] == 2500


async def test_what_only_the_portal_knows_is_left_to_a_person(town: Town) -> None:
    order_id = await town.sold(1)
    await town.show(
        "INSERT INTO sale_tickets (ticket_id, order_id, unit_id, tier, label) VALUES ($1, $2, $3, 't', 'l')",
        new_id(),
        order_id,
        new_id(),
    )
    repaired = await one(town, "portal_tickets_differ")
    assert repaired.became == "refused"
    assert "only the portal knows" in repaired.said
    assert await nothing_done(town)
