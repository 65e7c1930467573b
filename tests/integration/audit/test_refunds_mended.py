"""State, sum and refused refunds of an order, mended: only what is certain, and what the provider is asked for."""

from audit.money.repairs import Repaired
from tests.integration.audit.test_refunds import paid_back
from tests.integration.audit.town import Town
from ticketflow.events import new_id

REFUSED = "UPDATE refunds SET state = 'REFUSED', detail = 'no', due_at = NULL WHERE refund_id = %s"


async def one(town: Town, kind: str) -> Repaired:
    (repaired,) = await town.repair(kind)
    return repaired


async def head_of(town: Town, order_id: str) -> dict[str, object]:
    (row,) = await town.rows("SELECT state, refunds_minor, version FROM orders WHERE order_id = %s", order_id)
    return row


async def test_an_order_that_is_wholly_refunded_says_so_and_the_portal_follows(town: Town) -> None:
    order_id = await town.sold(2)
    await town.refunded(order_id, 2)
    await town.change("UPDATE orders SET state = 'PARTIALLY_REFUNDED' WHERE order_id = %s", order_id)
    await town.show("UPDATE sales SET state = 'PARTIALLY_REFUNDED' WHERE order_id = $1", order_id)
    before = await head_of(town, order_id)
    repaired = await one(town, "order_state_differs")
    assert repaired.said == "PARTIALLY_REFUNDED is now REFUNDED, and the order's facts are told again"
    after = await head_of(town, order_id)
    assert (after["state"], after["version"]) == ("REFUNDED", int(str(before["version"])) + 1)
    (told,) = [fact for fact in await town.staged("billing") if fact.kind == "order.refunded"]
    assert told.complete  # type: ignore[attr-defined]
    await town.carry()
    assert await town.found() == []


async def test_the_state_of_an_order_whose_refund_was_lost_is_left_to_a_person(town: Town) -> None:
    order_id = await town.sold(2)
    await town.refunded(order_id)
    await town.change("UPDATE tickets SET refund_id = NULL WHERE order_id = %s", order_id)
    await town.change("DELETE FROM refunds WHERE order_id = %s", order_id)
    before = await head_of(town, order_id)
    for kind in ("order_state_differs", "refunds_sum_differs"):
        repaired = await one(town, kind)
        assert repaired.became == "refused", repaired
    assert await head_of(town, order_id) == before
    assert await town.staged("billing") == []


async def test_a_sum_below_what_the_ledger_has_given_back_is_left_to_a_person(town: Town) -> None:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id, at_provider=False)
    await town.change("UPDATE tickets SET voided_at = NULL, refund_id = NULL WHERE order_id = %s", order_id)
    await town.change("DELETE FROM refunds WHERE order_id = %s", order_id)
    repaired = await one(town, "refunds_sum_differs")
    assert repaired.said == f"the ledger knows of refunds that are not there: {refund_id}"
    assert (await head_of(town, order_id))["refunds_minor"] == 2500


async def test_tickets_die_for_no_state_that_is_wrong(town: Town) -> None:
    """REFUNDED by mistake: its buyer keeps his ticket, and the state goes back."""
    order_id = await town.sold(1)
    await town.change("UPDATE orders SET state = 'REFUNDED' WHERE order_id = %s", order_id)
    repaired = await one(town, "ticket_good_after_refund")
    assert (repaired.became, repaired.said) == (
        "refused",
        "no refund was for them, and not all its money is back: see order_state_differs",
    )
    assert (await one(town, "order_state_differs")).became == "done"
    await town.carry()
    assert await town.found() == []


async def test_a_good_ticket_of_a_refund_dies_before_the_state_is_told(town: Town) -> None:
    order_id = await town.sold(1)
    await town.refunded(order_id)
    await town.change("UPDATE tickets SET voided_at = NULL WHERE order_id = %s", order_id)
    repaired = await one(town, "order_state_differs")
    assert repaired.said.endswith("see ticket_good_after_refund")
    assert (await one(town, "ticket_good_after_refund")).became == "done"
    await town.carry()
    assert await town.found() == []


async def test_a_refused_refund_that_is_asked_for_again_is_carried_out_once(town: Town) -> None:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id, done=False)
    await town.change(REFUSED, refund_id)
    repaired = await one(town, "refund_refused")
    assert repaired.said == "it is REQUESTED again: its worker asks the provider at once"
    assert await town.repair("refund_refused") == []
    await paid_back(town)
    rows = await town.rows("SELECT state FROM refunds WHERE refund_id = %s", refund_id)
    assert rows == [{"state": "REFUNDED"}]
    (found,) = await town.world.at_bank((await town.payment_of(order_id))["payment_id"])
    assert found["refunded_minor"] == 2500
    assert await town.found() == []


async def given_back_by_hand(town: Town, order_id: str, minor: int) -> str:
    """At the provider, past us: the payment's id."""
    payment = await town.payment_of(order_id)
    await town.world.provider.refund(payment["authorization_id"], minor, key=new_id())
    return str(payment["payment_id"])


async def test_what_was_given_back_by_hand_for_all_tickets_becomes_a_refund_and_goes_back_once(town: Town) -> None:
    order_id = await town.sold(3)
    await town.refunded(order_id)
    payment_id = await given_back_by_hand(town, order_id, 5000)
    assert (await one(town, "provider_refunded_more")).became == "done"
    assert await town.repair("provider_refunded_more") == []
    await town.carry()
    assert await town.found() == []
    await paid_back(town)
    assert (await head_of(town, order_id))["state"] == "REFUNDED"
    assert await kept(town, payment_id) == 0
    outcome = await town.audit()
    assert (outcome.differences, outcome.events[0].refunded_minor, outcome.events[0].identity) == ([], 7500, True)


async def test_what_was_given_back_by_hand_for_some_of_the_tickets_is_left_to_a_person(town: Town) -> None:
    order_id = await town.sold(2)
    await given_back_by_hand(town, order_id, 2500)
    repaired = await one(town, "provider_refunded_more")
    assert repaired.said == ("2500 went back, and its good tickets cost 5000: find out which of them it was for")
    assert await town.staged("billing") == []


async def test_a_refused_refund_that_went_back_by_hand_is_not_made_twice(town: Town) -> None:
    order_id = await town.sold(2)
    refund_id = await town.refunded(order_id, done=False)
    await town.change(REFUSED, refund_id)
    payment_id = await given_back_by_hand(town, order_id, 2500)
    repaired = await one(town, "provider_refunded_more")
    assert repaired.said.startswith("a refund of it is under way or refused, and may be this one")
    assert (await one(town, "refund_refused")).became == "done"
    await paid_back(town)
    assert await kept(town, payment_id) == 2500
    assert await town.found() == []


async def taken_too_much(town: Town, seats: int, extra_minor: int) -> tuple[str, str]:
    """Order and payment, of which the provider took more: its first authorisation is given back."""
    order_id = await town.sold(seats)
    payment = await town.payment_of(order_id)
    other = await town.take(payment["payment_id"], 2500 * seats + extra_minor)
    await town.world.provider.refund(payment["authorization_id"], 2500 * seats, key=new_id())
    await town.change("UPDATE payments SET authorization_id = %s WHERE payment_id = %s", other, payment["payment_id"])
    return order_id, payment["payment_id"]


async def kept(town: Town, payment_id: str) -> int:
    return sum(one["captured_minor"] - one["refunded_minor"] for one in await town.world.at_bank(payment_id))


async def test_what_was_taken_too_much_goes_back_beside_a_refund_and_once(town: Town) -> None:
    order_id, payment_id = await taken_too_much(town, 2, 300)
    await town.refunded(order_id, at_provider=False)
    (found,) = await town.found()
    assert (found.kind, found.amount_minor) == ("provider_captured_more", 2800)
    assert (await one(town, "provider_captured_more")).said == "refunded 2800 at the provider"
    assert await kept(town, payment_id) == 2500
    assert await town.found() == []


async def test_what_was_taken_too_much_waits_for_a_refund_that_is_under_way(town: Town) -> None:
    """Its worker would take the one for the other."""
    order_id, payment_id = await taken_too_much(town, 2, 300)
    await town.refunded(order_id, done=False)
    repaired = await one(town, "provider_captured_more")
    assert repaired.said == "a refund of this payment is under way or refused: wait for it, or decide about it"
    assert await kept(town, payment_id) == 5300
