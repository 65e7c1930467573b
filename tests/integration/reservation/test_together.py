"""Requests that are decided together: one transaction, and each as if it were alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from reservation.store_placing import Decision, Denied, Placed, Request
from reservation.wishes import Wish
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Event
from tests.support.waiting import wait_until
from ticketflow.events import new_id
from ticketflow.runtime.correlation import bind_correlation
from ticketflow.runtime.errors import Indefinite, Retryable

WAITING = "application_name = $1 AND wait_event_type = 'Lock'"


def wish(
    event: Event, *seats: str, standing: int = 0, tier: str = "standing", key: str = "", buyer: str = "ann"
) -> Request:
    general = {tier: standing} if standing else {}
    return Request(Wish(event.event_id, buyer, seats, general, "refund"), key or new_id(), b"%d" % standing)


async def together(replica: Replica, *requests: Request) -> list[Decision]:
    """Asked in one turn of the loop, and so decided in one transaction."""
    return await asyncio.gather(*map(replica.placing.place, requests))


def told(decision: Decision) -> str:
    """Placed, or the code of the refusal."""
    if isinstance(decision, Denied):
        return decision.refused.code
    return "again" if decision.replayed else "placed"


def hold_of(decision: Decision) -> str:
    assert isinstance(decision, Placed), decision
    return str(decision.row["hold_id"])


@asynccontextmanager
async def transaction(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Of somebody else, who does not end it before the block does, and then undoes it."""
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute("BEGIN")
        yield conn
    finally:
        await conn.execute("ROLLBACK")
        await conn.close()


async def test_who_comes_together_shares_a_transaction_and_nothing_else(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=4, standing=4)

    async def ask(number: int) -> Decision:
        with bind_correlation(f"walk-{number}", f"00-{number + 1:032x}-00000000000000aa-01"):
            return await replica.placing.place(wish(event, event.seats[number], standing=1, buyer=f"b{number}"))

    decisions = await asyncio.gather(*map(ask, range(4)))
    holds = [hold_of(decision) for decision in decisions]
    assert (
        await truth.conn.fetchval("SELECT count(DISTINCT xmin::text) FROM holds WHERE hold_id = ANY ($1)", holds) == 1
    )
    for number, (hold_id, decision) in enumerate(zip(holds, decisions, strict=True)):
        [envelope] = await truth.envelopes_of(hold_id)
        assert envelope.correlation_id == f"walk-{number}"
        assert envelope.traceparent == f"00-{number + 1:032x}-00000000000000aa-01"
        assert isinstance(decision, Placed)
        assert decision.row["buyer_id"] == f"b{number}"
        assert [line.label for line in decision.lines] == [f"A-{number + 1}", "standing"]
        assert decision.row["total_minor"] == 4000
    await truth.check([event.event_id])


async def test_each_is_decided_on_its_own(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=8, standing=5, seats_per_hold_max=4)
    other = await replica.shop.event(seats=1)
    closed = await replica.shop.event(seats=1)
    await truth.conn.execute("UPDATE events SET closed_at = now() WHERE event_id = $1", closed.event_id)
    nowhere = Event(replica.shop, new_id())
    seats, key = event.seats, new_id()
    await together(replica, wish(event, seats[7]))
    requests = {
        "two seats": (wish(event, seats[0], seats[1]), "placed"),
        "one of them": (wish(event, seats[1], seats[2]), "seat_unavailable"),
        "what the refused did not get": (wish(event, seats[2]), "placed"),
        "taken long ago": (wish(event, seats[3], seats[7]), "seat_unavailable"),
        "with a key": (wish(event, seats[3], key=key), "placed"),
        "once more": (wish(event, seats[3], key=key), "again"),
        "another with this key": (wish(event, standing=1, key=key), "idempotency_mismatch"),
        "no such event": (wish(nowhere, seats[4]), "event_unknown"),
        "closed": (wish(closed, closed.seats[0]), "event_closed"),
        "of another event": (wish(event, other.seats[0]), "seat_unknown"),
        "too many": (wish(event, *seats[3:7], standing=1), "too_many_seats"),
        "to stand": (wish(event, standing=3), "placed"),
        "more than are left": (wish(event, seats[4], standing=3), "seat_unavailable"),
        "as many as are left": (wish(event, seats[4], standing=2), "placed"),
        "none is left": (wish(event, standing=1), "seat_unavailable"),
        "no such tier": (wish(event, seats[5], standing=1, tier="box"), "tier_unknown"),
        "both": (wish(event, seats[5], seats[6]), "placed"),
    }
    decisions = await together(replica, *(request for request, _ in requests.values()))
    assert dict(zip(requests, map(told, decisions), strict=True)) == {
        name: expected for name, (_, expected) in requests.items()
    }
    facts = {name: d.refused.facts for name, d in zip(requests, decisions, strict=True) if isinstance(d, Denied)}
    assert facts["one of them"] == {"unavailable": [seats[1]]}
    assert facts["taken long ago"] == {"unavailable": [seats[7]]}
    assert facts["of another event"] == {"seats": other.seats}
    assert facts["more than are left"] == {"unavailable": [{"tier": "standing", "free": 2}]}
    assert facts["none is left"] == {"unavailable": [{"tier": "standing", "free": 0}]}
    assert facts["no such tier"] == {"tier": "box"}
    assert facts["too many"] == {"most": 4}
    holds = [hold_of(decision) for decision in decisions if told(decision) == "placed"]
    assert (
        await truth.conn.fetchval("SELECT count(DISTINCT xmin::text) FROM holds WHERE hold_id = ANY ($1)", holds) == 1
    )
    for hold_id in holds:
        assert await truth.kinds_of(hold_id) == ["hold.placed"]
    assert await truth.states(event.event_id) == [("held", 13)]
    await truth.check([event.event_id, other.event_id, closed.event_id])
    again = await together(replica, *(request for request, _ in requests.values()))
    for before, after in zip(decisions, again, strict=True):
        assert told(after) in ("again", told(before)), "what was decided stays"
        if isinstance(before, Placed) and isinstance(after, Placed):
            assert (after.row["hold_id"], after.lines) == (before.row["hold_id"], before.lines)
        elif isinstance(before, Denied) and isinstance(after, Denied):
            assert after.refused.facts == before.refused.facts


async def test_a_tier_is_given_out_to_the_last_place(replica: Replica, truth: Truth) -> None:
    """Wishes of one transaction see each other's places, and skip none that is free."""
    event = await replica.shop.event(standing=60)
    decisions = await together(replica, *(wish(event, standing=quantity) for quantity in [1, 2, 3] * 10))
    assert {told(decision) for decision in decisions} == {"placed"}
    places = [line.unit_id for decision in decisions if isinstance(decision, Placed) for line in decision.lines]
    assert len(places) == len(set(places)) == 60
    assert await truth.states(event.event_id) == [("held", 60)]
    await truth.check([event.event_id])


async def test_a_key_that_somebody_else_is_claiming_holds_up_nobody_but_its_own(
    replica: Replica, dsn: str, truth: Truth
) -> None:
    event = await replica.shop.event(seats=3)
    key = new_id()
    async with transaction(dsn) as somebody:
        await somebody.execute("INSERT INTO idempotency VALUES ('holds', $1, '', $2)", key, new_id())
        waits = asyncio.create_task(replica.placing.place(wish(event, event.seats[0], key=key)))
        neighbours = await together(replica, wish(event, event.seats[1]), wish(event, event.seats[2]))
        assert list(map(told, neighbours)) == ["placed", "placed"]
        assert not waits.done()
    assert told(await waits) == "placed"
    await truth.check([event.event_id])


async def test_a_place_that_somebody_else_has_locked_holds_up_nobody_but_who_wants_it(
    replica: Replica, dsn: str, truth: Truth
) -> None:
    event = await replica.shop.event(seats=4, standing=2)
    standing = "SELECT FROM units WHERE event_id = $1 AND (unit_id = $2 OR row_name IS NULL) FOR NO KEY UPDATE"
    async with transaction(dsn) as somebody:
        await somebody.execute(standing, event.event_id, event.seats[0])
        waiting = [
            asyncio.create_task(replica.placing.place(wish(event, event.seats[0], event.seats[1]))),
            asyncio.create_task(replica.placing.place(wish(event, standing=2))),
        ]
        neighbours = await together(replica, wish(event, event.seats[2]), wish(event, event.seats[3]))
        assert list(map(told, neighbours)) == ["placed", "placed"]
        assert not any(task.done() for task in waiting)
    assert [told(await task) for task in waiting] == ["placed", "placed"]
    assert await truth.states(event.event_id) == [("held", 6)]
    await truth.check([event.event_id])


async def test_one_that_cannot_be_written_harms_no_neighbour(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=3)
    requests = [wish(event, event.seats[n], buyer="nu\x00l" if n == 1 else "ann") for n in range(3)]
    first, broken, third = await asyncio.gather(*map(replica.placing.place, requests), return_exceptions=True)
    assert isinstance(first, Placed)
    assert isinstance(third, Placed)
    assert isinstance(broken, asyncpg.PostgresError)
    assert await truth.states(event.event_id) == [("free", 1), ("held", 2)]
    await truth.check([event.event_id])


async def test_a_deadlock_is_tried_again(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    event = await replica.shop.event(seats=3)
    attempt, tries = replica.placing._attempt, []

    async def fail_twice(*arguments: Any, **more: Any) -> Any:
        tries.append(len(arguments[1]))
        if len(tries) <= 2:
            raise Retryable("40P01 deadlock detected")
        return await attempt(*arguments, **more)

    monkeypatch.setattr(replica.placing, "_attempt", fail_twice)
    decisions = await together(replica, *(wish(event, seat) for seat in event.seats))
    assert list(map(told, decisions)) == ["placed"] * 3
    assert tries == [3, 3, 3]


async def test_of_a_session_that_ends_meanwhile_every_request_finds_out_its_own(
    replica: Replica, dsn: str, truth: Truth
) -> None:
    event = await replica.shop.event(seats=3)
    key = new_id()
    async with transaction(dsn) as other:
        await other.execute("INSERT INTO idempotency (scope, key, fingerprint) VALUES ('holds', $1, '')", key)
        requests = [wish(event, event.seats[0], key=key), *(wish(event, seat) for seat in event.seats[1:])]
        asked = asyncio.create_task(together(replica, *requests))
        ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {WAITING}"
        await wait_until(lambda: truth.conn.fetch(ended, replica.flushing.connections.name))
    decisions = await asked
    assert list(map(told, decisions)) == ["placed"] * 3
    for decision in decisions:
        assert await truth.kinds_of(hold_of(decision)) == ["hold.placed"]
    await truth.check([event.event_id])


@pytest.mark.parametrize("arrived", [True, False])
async def test_of_a_statement_without_an_answer_every_request_finds_out_its_own(
    replica: Replica, truth: Truth, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    event = await replica.shop.event(seats=4)
    single = replica.flushing.single
    lost: list[int] = []

    async def lose_the_answer(statement: str, *arguments: Any) -> Any:
        if arrived:
            lost.append(len(await single(statement, *arguments)))
        raise Indefinite("it was not answered")

    monkeypatch.setattr(replica.flushing, "single", lose_the_answer)
    decisions = await together(replica, *(wish(event, seat) for seat in event.seats))
    assert {told(decision) for decision in decisions} == {"again" if arrived else "placed"}
    assert lost == ([4] if arrived else [])
    assert await truth.states(event.event_id) == [("held", 4)]
    for decision in decisions:
        assert await truth.kinds_of(hold_of(decision)) == ["hold.placed"]
    await truth.check([event.event_id])


async def test_who_leaves_takes_nobody_with_him(replica: Replica, dsn: str, truth: Truth) -> None:
    event = await replica.shop.event(seats=3)
    begun, leaver_is_gone = asyncio.Event(), asyncio.Event()
    single = replica.flushing.single

    async def decide_when_told(statement: str, *arguments: Any) -> Any:
        begun.set()
        await leaver_is_gone.wait()
        return await single(statement, *arguments)

    replica.flushing.single = decide_when_told  # type: ignore[method-assign]
    asked = [asyncio.create_task(replica.placing.place(wish(event, seat))) for seat in event.seats]
    await wait_until(begun.is_set)
    asked[1].cancel()
    await asyncio.sleep(0)
    leaver_is_gone.set()
    assert [told(await asked[number]) for number in (0, 2)] == ["placed", "placed"]
    assert await truth.states(event.event_id) == [("held", 3)], "what was under way is done"
    await truth.check([event.event_id])


async def test_when_too_many_wait_the_next_is_told_to_come_again(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await replica.shop.event(seats=1)
    monkeypatch.setattr(replica.placing._batcher, "_queue_max", 0)
    body = {"event_id": event.event_id, "buyer_id": "ann", "seats": event.seats}
    answer = await replica.shop.call("POST", "/api/v1/holds", body, headers={"Idempotency-Key": new_id()})
    assert (answer.status, answer.code) == (503, "too_busy")
    assert int(answer.headers["Retry-After"]) >= 1
