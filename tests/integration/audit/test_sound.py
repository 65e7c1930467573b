"""What is sound, or still under way, is no difference."""

from audit.money.lateness import lateness_s
from audit.money.stores import open_stores
from tests.integration.audit.town import Town
from ticketflow.events import new_id


async def test_a_sound_event_has_no_differences_and_its_money_adds_up(town: Town) -> None:
    await town.topped_up("anna", 3000)
    await town.sold(2)
    await town.sold(1, credits_minor=2000, buyer_id="anna")
    await town.failed()
    await town.hold(1)
    part, whole = await town.sold(2), await town.sold(2)
    await town.refunded(part, 1, fee_minor=500)
    await town.refunded(whole, 2)
    outcome = await town.audit()
    assert outcome.differences == []
    (totals,) = outcome.events
    assert totals.as_dict() == {
        "event_id": town.event.event_id,
        "currency": "EUR",
        "seats": {"sold": 7, "held": 1, "free": 16},
        "orders": {"CONFIRMED": 2, "FAILED": 1, "PENDING": 1, "PARTIALLY_REFUNDED": 1, "REFUNDED": 1},
        "in_flight": 0,
        "captured_minor": 7 * 2500,
        "refunded_minor": 2000 + 5000,
        "owed_minor": 0,
        "kept_minor": 500,
        "good_minor": 4 * 2500,
        "fees_minor": 0,
        "tickets": {"good": 4, "void": 3},
        "identity": True,
        "ledger": {"sales_minor": 7 * 2500, "refunds_minor": 7000},
        "provider": {"asked": 5, "captured_minor": 7 * 2500 - 2000, "refunded_minor": 7000},
    }
    assert (await town.audit(everywhere=True)).sales >= 6


async def test_a_payment_between_its_steps_is_no_difference(town: Town) -> None:
    """Authorised; sold and not captured; captured by the provider and not known here."""
    order_id = await town.hold()
    payment_id = await town.pay(order_id)
    await town.forget()
    assert await town.found() == []
    await town.replica.settle(order_id, payment_id)
    await town.forget()
    assert await town.found() == []
    await town.change("UPDATE payments SET state = 'SETTLED' WHERE payment_id = %s", payment_id)
    assert await town.found() == []
    payment = await town.payment_of(order_id)
    await town.world.provider.capture(payment["authorization_id"], payment["amount_minor"], key="k" + payment_id)
    assert await town.found() == []
    assert [one.kind for one in await town.found(stuck_s=-1)] == ["payment_stuck"]


async def test_a_refund_that_is_under_way_is_no_difference(town: Town) -> None:
    """Whether or not the provider has carried it out."""
    order_id = await town.sold()
    refund_id = await town.refunded(order_id, done=False)
    assert await town.found() == []
    payment = await town.payment_of(order_id)
    await town.world.provider.refund(payment["authorization_id"], 2500, key=refund_id)
    assert await town.found() == []
    (totals,) = (await town.audit()).events
    assert (totals.owed_minor, totals.refunded_minor, totals.identity) == (2500, 0, True)


async def test_what_has_just_changed_is_no_difference_yet(town: Town) -> None:
    order_id = await town.sold()
    await town.show("DELETE FROM sale_tickets WHERE order_id = $1", order_id)
    assert await town.found(grace_s=60) == []
    assert [one.kind for one in await town.found()] == ["portal_tickets_differ"]


async def test_while_events_are_held_up_what_they_tell_of_is_no_difference(town: Town) -> None:
    """They are as old as the change that they tell of."""
    order_id = await town.hold(1)
    await town.release_untold(order_id)
    await town.reserve("UPDATE holds SET ended_at = ended_at - interval '1 hour' WHERE hold_id = $1", order_id)
    await town.reserve("UPDATE delivery_outbox SET created_at = created_at - interval '61 minutes'")
    await town.change("UPDATE orders SET created_at = created_at - INTERVAL 2 HOUR WHERE order_id = %s", order_id)
    await town.show("UPDATE sales SET updated_at = updated_at - interval '2 hours' WHERE order_id = $1", order_id)
    await town.reserve("UPDATE holds SET placed_at = placed_at - interval '2 hours' WHERE hold_id = $1", order_id)
    assert await town.found(grace_s=60) == []
    await town.forget()
    assert [one.kind for one in await town.found(grace_s=60)] == ["order_open_hold_ended"]


async def test_what_waits_in_the_broker_is_on_its_way_too(town: Town) -> None:
    """The bridge has acknowledged it, and the portal has not settled it."""
    async with open_stores(town.databases.settings()) as stores:
        assert await lateness_s(stores) == 0
        await town.change(
            "INSERT INTO delivery_stream (stream, epoch, last_seq, acked_seq) VALUES ('billing', 3, 5, 5)"
        )
        await town.change(
            "INSERT INTO delivery_outbox (stream, seq, event_id, event_key, kind, body, created_at)"
            " VALUES ('billing', 5, %s, 'k', 'k', '', UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)",
            new_id(),
        )
        await town.show("INSERT INTO portal_stream (stream, epoch, watermark, highest) VALUES ('billing', 3, 4, 5)")
        try:
            assert 3600 <= await lateness_s(stores) < 3700
            await town.show("UPDATE portal_stream SET watermark = 5 WHERE stream = 'billing'")
            assert await lateness_s(stores) == 0
        finally:
            await town.change("DELETE FROM delivery_stream WHERE stream = 'billing'")
            await town.show("DELETE FROM portal_stream WHERE stream = 'billing'")
            await town.forget()


async def test_what_passes_between_the_two_looks_is_no_difference(town: Town) -> None:
    """The first look sees it, the second does not: here because the test mends it in between."""
    order_id = await town.sold()
    await town.show("UPDATE sales SET state = 'PAYING' WHERE order_id = $1", order_id)
    async with town.between_the_looks(
        lambda: town.show("UPDATE sales SET state = 'CONFIRMED' WHERE order_id = $1", order_id)
    ):
        assert await town.found() == []
