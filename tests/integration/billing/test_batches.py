"""Many events of reservation in one frame: each order ends as it does when its events come alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from billing.orders.handlers import TwoKeys, handlers
from tests.integration.billing.world import Sale, World
from tests.support.packets import packets
from ticketflow.delivery import Batched, Poison
from ticketflow.delivery.metrics import FALLBACKS
from ticketflow.events import (
    Envelope,
    HoldExpired,
    HoldLost,
    HoldPlaced,
    HoldReleased,
    HoldReturned,
    HoldSold,
    OrderFailed,
    OrderPending,
    Payload,
    decode,
    envelope_for,
    new_id,
)


def fallbacks() -> float:
    return FALLBACKS.labels("reservation")._value.get()  # type: ignore[no-any-return]


def sales(world: World, count: int) -> list[Sale]:
    return [Sale(world, new_id(), 1 + number % 3, 60, f"buyer-{number}") for number in range(count)]


async def placed(world: World, count: int) -> list[Sale]:
    """All in one frame."""
    made = sales(world, count)
    await world.feed(*(sale.event(sale.hold) for sale in made))
    return made


async def paid(of: Sequence[Sale]) -> list[str]:
    """Their payments, authorised."""
    await asyncio.gather(*(sale.pay("tok_ok") for sale in of))
    return [(await sale.order())["payments"][0]["payment_id"] for sale in of]


async def parked(world: World) -> list[tuple[str, str]]:
    rows = await world.rows("SELECT event_key, reason FROM delivery_parked ORDER BY position")
    return [(row["event_key"], row["reason"]) for row in rows]


async def test_holds_of_one_frame_become_orders_with_all_that_belongs_to_them(world: World) -> None:
    before = fallbacks()
    for sale in await placed(world, 30):
        order = await sale.order()
        assert order["state"] == "PENDING"
        assert order["total_minor"] == sale.hold.total_minor
        assert [line["unit_id"] for line in order["lines"]] == [line.unit_id for line in sale.hold.lines]
        assert await sale.codes() == ["order_pending"]
        (told,) = await world.staged(sale.hold_id)
        assert isinstance(told, OrderPending)
        assert told.lines == sale.hold.lines
    assert fallbacks() == before, "nothing went one by one"


async def test_what_is_staged_for_each_carries_its_own_correlation(world: World) -> None:
    made = sales(world, 3)
    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    await world.feed(
        *(
            envelope_for(sale.hold, key=sale.hold_id, correlation_id=f"c-{n}", traceparent=trace)
            for n, sale in enumerate(made)
        )
    )
    for n, sale in enumerate(made):
        (row,) = await world.rows("SELECT body FROM delivery_outbox WHERE event_key = %s", sale.hold_id)
        assert (decode(row["body"]).correlation_id, decode(row["body"]).traceparent) == (f"c-{n}", trace)


async def test_endings_of_all_kinds_in_one_frame(world: World) -> None:
    before = fallbacks()
    made = await placed(world, 16)
    released, expired, sold, lost = made[:4], made[4:8], made[8:12], made[12:]
    payments = await paid([*sold, *lost])
    ends: list[Payload] = [
        *(HoldReleased(hold_id=sale.hold_id) for sale in released),
        *(HoldExpired(hold_id=sale.hold_id) for sale in expired),
        *(HoldSold(hold_id=sale.hold_id, payment_id=p, sold_at_us=1) for sale, p in zip(sold, payments, strict=False)),
        *(
            HoldLost(hold_id=sale.hold_id, payment_id=p, reason="taken")
            for sale, p in zip(lost, payments[4:], strict=True)
        ),
    ]
    await world.feed(*(sale.event(end) for sale, end in zip(made, ends, strict=True)), again=True)
    assert fallbacks() == before
    for sale, reason in [*((sale, "released") for sale in released), *((sale, "expired") for sale in expired)]:
        assert (await sale.order())["state"] == "FAILED"
        assert await sale.codes() == ["order_pending", "hold_ended", "order_failed"]
        failed = [told for told in await world.staged(sale.hold_id) if isinstance(told, OrderFailed)]
        assert [told.reason for told in failed] == [reason]
    for sale in sold:
        assert await sale.payment_states() == ["SETTLED"]
        assert (await sale.codes())[-1] == "seats_sold"
    for sale in lost:
        assert await sale.payment_states() == ["VOIDING"]
        assert (await sale.codes())[-1] == "seats_lost"
    assert await world.ledger_faults() == []
    assert await parked(world) == []


async def test_events_of_one_order_keep_their_order_within_a_frame(world: World) -> None:
    one, other = sales(world, 2)
    returned = HoldReturned(hold_id=one.hold_id, return_id=new_id(), unit_ids=[])
    frame: list[Envelope] = [
        one.event(one.hold),
        other.event(other.hold),
        one.event(HoldReleased(hold_id=one.hold_id)),
        one.event(returned),
    ]
    await world.feed(*frame)
    assert await one.codes() == ["order_pending", "hold_ended", "order_failed", "seats_returned"]
    assert await other.codes() == ["order_pending"]


async def test_one_hold_that_does_not_add_up_harms_no_other_of_its_frame(world: World) -> None:
    made = sales(world, 12)
    wrong = made[5]
    wrong.hold = msgspec.structs.replace(wrong.hold, total_minor=1)
    await world.feed(*(sale.event(sale.hold) for sale in made))
    assert await parked(world) == [(wrong.hold_id, "poison")]
    rows = await world.rows("SELECT order_id FROM orders")
    assert {row["order_id"] for row in rows} == {sale.hold_id for sale in made if sale is not wrong}
    assert len(await world.rows("SELECT 1 FROM delivery_outbox")) == 11


async def test_an_end_of_an_order_that_never_came_is_parked_alone(world: World) -> None:
    made = await placed(world, 4)
    (stray,) = sales(world, 1)
    frame = [sale.event(HoldExpired(hold_id=sale.hold_id)) for sale in [*made[:2], stray, *made[2:]]]
    await world.feed(*frame)
    assert await parked(world) == [(stray.hold_id, "poison")]
    assert [(await sale.order())["state"] for sale in made] == ["FAILED"] * 4


async def test_a_hold_that_is_an_order_already_takes_nothing_from_its_neighbours(world: World) -> None:
    [known] = await placed(world, 1)
    new = sales(world, 5)
    before = fallbacks()
    await world.feed(*(sale.event(sale.hold) for sale in (*new[:2], known, *new[2:])))
    for sale in (known, *new):
        assert await sale.codes() == ["order_pending"]
        lines = await world.rows("SELECT unit_id FROM order_lines WHERE order_id = %s", sale.hold_id)
        assert len(lines) == len(sale.hold.lines)
        told = await world.rows("SELECT 1 FROM delivery_outbox WHERE event_key = %s", sale.hold_id)
        assert len(told) == 1
    assert fallbacks() == before
    assert await parked(world) == []


async def test_new_holds_and_ends_of_orders_take_four_packets_each_batch(world: World) -> None:
    new, old = sales(world, 20), await placed(world, 20)
    expiring, releasing, *others = old
    with packets() as sent:
        await world.feed(*(sale.event(sale.hold) for sale in new))
        await world.feed(*(sale.event(HoldExpired(hold_id=sale.hold_id)) for sale in (expiring, *others)))
        await world.feed(releasing.event(HoldReleased(hold_id=releasing.hold_id)))
        await world.feed(expiring.event(HoldReturned(hold_id=expiring.hold_id, return_id=new_id(), unit_ids=[])))
    assert [text for text in sent if text == "COMMIT"] == ["COMMIT"] * 4
    assert len(sent) == 4 * 4
    assert await expiring.codes() == ["order_pending", "hold_ended", "order_failed", "seats_returned"]
    assert await releasing.codes() == ["order_pending", "hold_ended", "order_failed"]


async def test_of_orders_that_are_known_nothing_is_written_twice(world: World) -> None:
    known = await placed(world, 2)
    new = sales(world, 3)
    frame = [sale.event(sale.hold) for sale in (new[0], known[0], new[1], known[1], new[2])]
    with packets() as sent:
        await world.feed(*frame)
    assert sum("INSERT INTO orders" in text for text in sent) == 2, "with those that are known, and without"
    await world.feed(*frame)
    for sale in (*known, *new):
        assert await sale.codes() == ["order_pending"]
        lines = await world.rows("SELECT unit_id FROM order_lines WHERE order_id = %s", sale.hold_id)
        assert len(lines) == len(sale.hold.lines)
        assert len(await world.staged(sale.hold_id)) == 1
    assert await parked(world) == []


async def test_a_duplicate_that_is_no_order_parks_nobody_but_its_own_event(world: World) -> None:
    made = sales(world, 8)
    wrong = made[3]
    line = wrong.hold.lines[0]
    wrong.hold = msgspec.structs.replace(wrong.hold, lines=[line, line], total_minor=2 * line.price_minor)
    await world.feed(*(sale.event(sale.hold) for sale in made))
    assert await parked(world) == [(wrong.hold_id, "failed")]
    rows = await world.rows("SELECT order_id FROM orders")
    assert {row["order_id"] for row in rows} == {sale.hold_id for sale in made if sale is not wrong}
    for sale in made:
        assert len(await world.staged(sale.hold_id)) == (0 if sale is wrong else 1)


async def test_two_keys_for_one_order_are_taken_one_after_the_other(world: World) -> None:
    (sale,) = sales(world, 1)
    strange = envelope_for(sale.hold, key="another-key", correlation_id="c-1")
    many = handlers(world.changes)[HoldPlaced.kind]
    assert isinstance(many, Batched)
    with pytest.raises(TwoKeys):
        async with world.pool.transaction() as conn:
            await many.many(conn, [sale.event(sale.hold), strange])
    await world.feed(sale.event(sale.hold), strange)
    assert await sale.codes() == ["order_pending"]
    assert await parked(world) == []


async def test_text_of_any_kind_arrives_as_it_was_sent(world: World) -> None:
    (sale,) = sales(world, 1)
    name: Any = "L'Été \\ \"100 %\" %s \N{TICKET} \0 -- ; \\' \r\n"
    sale.hold = msgspec.structs.replace(sale.hold, event_name=name)
    await world.feed(sale.event(sale.hold))
    rows = await world.rows("SELECT event_name FROM orders WHERE order_id = %s", sale.hold_id)
    assert [row["event_name"] for row in rows] == [name]


async def test_a_payload_of_another_shape_is_poison(world: World) -> None:
    (sale,) = sales(world, 1)
    wrong = msgspec.structs.replace(sale.event(HoldExpired(hold_id=sale.hold_id)), kind="hold.placed")
    with pytest.raises((Poison, ValueError)):
        async with world.pool.transaction() as conn:
            await handlers(world.changes)[HoldPlaced.kind](conn, wrong)
