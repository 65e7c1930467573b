"""A first answer is made of what is being written, a repeated one is read from the tables: they say the same."""

from reservation.store_placing import DECIDE, Decision, Denied, Placed, Request
from reservation.wishes import Wish
from tests.integration.reservation.house import Replica, Truth
from tests.integration.reservation.test_together import together, told, transaction, wish
from tests.support.buyer import Event
from ticketflow.events import new_id


def said(decision: Decision) -> object:
    """All that an answer tells, whether for the first time or not."""
    if isinstance(decision, Denied):
        return decision.refused.code, decision.refused.facts
    row = {name: value for name, value in decision.row.items() if name != "claimed"}
    return row, decision.lines


async def told_twice(replica: Replica, *requests: Request) -> list[Decision]:
    """The first answers."""
    first = await together(replica, *requests)
    again = await together(replica, *requests)
    assert not any(decision.replayed for decision in first)
    assert all(decision.replayed for decision in again)
    assert [said(decision) for decision in again] == [said(decision) for decision in first]
    return first


async def test_when_nobody_is_in_the_way(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=8)
    other = await replica.shop.event(seats=1)
    one, two, three, elsewhere = event.seats[0], event.seats[2:0:-1], event.seats[3:6], other.seats[0]
    requests = [wish(event, one), wish(event, *two), wish(other, elsewhere), wish(event, *three, buyer="bob")]
    decisions = await told_twice(replica, *requests)
    lines = []
    for decision in decisions:
        assert isinstance(decision, Placed)
        lines.append([line.unit_id for line in decision.lines])
        assert decision.row["total_minor"] == sum(line.price_minor for line in decision.lines)
    assert lines == [[one], sorted(two), [elsewhere], sorted(three)]
    assert [decision.row["buyer_id"] for decision in decisions if isinstance(decision, Placed)][-1] == "bob"
    await truth.check([event.event_id, other.event_id])


async def test_when_some_are_refused_at_once_and_some_after_all(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=5, standing=3)
    seats = event.seats
    await together(replica, wish(event, seats[4]))
    requests = {
        "taken long ago": (wish(event, seats[4]), "seat_unavailable"),
        "a seat": (wish(event, seats[0]), "placed"),
        "the same": (wish(event, seats[0], seats[1]), "seat_unavailable"),
        "no such event": (wish(Event(replica.shop, new_id()), seats[1]), "event_unknown"),
        "to sit and to stand": (wish(event, seats[1], standing=2), "placed"),
        "more than are left": (wish(event, seats[2], standing=2), "seat_unavailable"),
        "the last one": (wish(event, standing=1), "placed"),
    }
    decisions = await told_twice(replica, *(request for request, _ in requests.values()))
    assert dict(zip(requests, map(told, decisions), strict=True)) == {
        name: expected for name, (_, expected) in requests.items()
    }
    await truth.check([event.event_id])


async def test_when_nobody_gets_anything(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=1)
    await together(replica, wish(event, event.seats[0]))
    decisions = await told_twice(replica, *(wish(event, event.seats[0]) for _ in range(4)))
    assert [told(decision) for decision in decisions] == ["seat_unavailable"] * 4
    await truth.check([event.event_id])


async def test_who_has_to_ask_again_is_told_nothing_and_his_neighbour_all(
    replica: Replica, dsn: str, truth: Truth
) -> None:
    event = await replica.shop.event(seats=2)
    locked, free = event.seats
    async with transaction(dsn) as other:
        await other.execute("SELECT FROM units WHERE unit_id = $1 FOR NO KEY UPDATE", locked)
        requests = [(new_id(), event.event_id, "ann", new_id(), b"", [seat], "[]", "refund") for seat in (locked, free)]
        tellings = [new_id() for _ in requests], [b"" for _ in requests]
        rows = await truth.conn.fetch(DECIDE, requests, False, "reservation", *tellings)
    nothing, all_of_it = map(dict, rows)
    assert nothing == dict.fromkeys(nothing) | {"claimed": True}
    assert all_of_it["matches"] is True
    assert str(all_of_it["hold_id"]) == requests[1][0]
    assert await truth.conn.fetchval("SELECT count(*) FROM idempotency WHERE key = $1", requests[0][3]) == 0


async def test_a_key_that_comes_twice_at_once_gets_one_hold(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=2)
    key = new_id()
    wished = Request(Wish(event.event_id, "ann", (event.seats[0],), {}, "refund"), key, b"")
    first, again, neighbour = await together(replica, wished, wished, wish(event, event.seats[1]))
    assert {told(first), told(again), told(neighbour)} == {"placed", "again"}
    assert said(first) == said(again)
    await truth.check([event.event_id])
