"""The same Idempotency-Key: one effect, and the same answer however often and wherever it is asked."""

import asyncio
from typing import Any

import pytest

from reservation.store_idempotency import KEPT_S
from reservation.workers import Purger
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Answer, Buyer, Shop
from tests.support.waiting import wait_until
from ticketflow.events import new_id


async def test_ten_times_at_once_is_one_hold_and_ten_equal_answers(replicas: list[Replica], truth: Truth) -> None:
    event = await replicas[0].shop.event(seats=4, standing=4)
    key = new_id()
    answers = await asyncio.gather(
        *(Buyer(replicas[n % 2].shop, "ann").ask(event, event.seats[:2], standing=2, key=key) for n in range(10))
    )
    assert [answer.status for answer in answers] == [201] * 10
    assert all(answer.body == answers[0].body for answer in answers)
    assert sorted(_replayed(answer) for answer in answers) == [False] + [True] * 9
    assert await truth.states(event.event_id) == [("free", 4), ("held", 4)]
    assert await truth.kinds_of(answers[0].body["hold_id"]) == ["hold.placed"]


async def test_the_answer_is_the_first_one_whatever_became_of_the_hold(shop: Shop) -> None:
    event = await shop.event(seats=1)
    buyer, key = Buyer(shop), new_id()
    first = await buyer.ask(event, event.seats, key=key)
    await shop.call("DELETE", f"/api/v1/holds/{first.body['hold_id']}", headers={"X-Hold-Token": first.body["token"]})
    again = await buyer.ask(event, event.seats, key=key)
    assert (again.status, again.body) == (201, first.body)


async def test_a_refusal_stays_a_refusal(shop: Shop) -> None:
    """A retry must not turn a refusal that the buyer has seen into a purchase."""
    event = await shop.event(seats=1)
    first = await Buyer(shop).hold(event, event.seats)
    late, key = Buyer(shop), new_id()
    refused = await late.ask(event, event.seats, key=key)
    await first.release()
    again = await late.ask(event, event.seats, key=key)
    assert (again.status, again.code, _replayed(again)) == (409, "seat_unavailable", True)
    assert _but_correlation(again) == _but_correlation(refused)
    assert (await late.ask(event, event.seats)).status == 201, "a new attempt takes a new key"


async def test_another_body_is_refused_and_changes_nothing(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=2)
    buyer, key = Buyer(shop), new_id()
    first = await buyer.ask(event, event.seats[:1], key=key)
    other = await buyer.ask(event, event.seats[1:], key=key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    assert (await buyer.ask(event, event.seats[:1], key=key)).body == first.body
    assert await truth.states(event.event_id) == [("free", 1), ("held", 1)]


async def test_the_same_wish_spelt_otherwise_is_the_same(shop: Shop) -> None:
    event = await shop.event(seats=1)
    headers = {"Idempotency-Key": new_id(), "Content-Type": "application/json"}
    spelt = (
        b'{"event_id":"%s","buyer_id":"ann","seats":["%s"]}',
        b' { "seats" : ["%s"], "buyer_id": "\\u0061nn", "late":"refund", "event_id": "%s" } ',
    )
    names = event.event_id.encode(), event.seats[0].encode()
    first = await shop.call("POST", "/api/v1/holds", raw=spelt[0] % names, headers=headers)
    again = await shop.call("POST", "/api/v1/holds", raw=spelt[1] % names[::-1], headers=headers)
    assert (again.status, again.body) == (201, first.body)


@pytest.mark.parametrize(
    ("key", "code"), [(None, "idempotency_key_missing"), ("", "idempotency_key_invalid"), ("k" * 129, None)]
)
async def test_without_a_proper_key_nothing_is_held(
    shop: Shop, truth: Truth, key: str | None, code: str | None
) -> None:
    event = await shop.event(seats=1)
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await shop.call("POST", "/api/v1/holds", Buyer(shop).wish(event, event.seats), headers=headers)
    assert (answer.status, answer.code) == (400, code or "idempotency_key_invalid")
    assert await truth.states(event.event_id) == [("free", 1)]


async def test_a_second_request_waits_for_the_first_and_takes_its_place_when_that_fails(
    shop: Shop, truth: Truth
) -> None:
    event = await shop.event(seats=1)
    key = new_id()
    transaction = truth.conn.transaction()
    await transaction.start()
    await truth.conn.execute("INSERT INTO idempotency VALUES ('holds', $1, '', $2)", key, new_id())
    asking = asyncio.create_task(Buyer(shop).ask(event, event.seats, key=key))
    done, _ = await asyncio.wait({asking}, timeout=0.3)
    assert not done
    await transaction.rollback()
    assert (await asking).status == 201


async def test_a_decision_without_an_answer_is_found_out_by_its_key(
    replica: Replica, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is committed, its answer does not arrive: it is asked again on another connection, and is the same hold."""
    event = await replica.shop.event(seats=1)
    answer_of = replica.flushing._answer
    cut: list[bool] = []

    async def lose_the_answer(connection: Any, what: str, sent: Any) -> Any:
        if cut:
            return await answer_of(connection, what, sent)
        cut.append(True)
        await sent
        connection.terminate()
        return await answer_of(connection, what, connection.fetch("SELECT 1"))

    monkeypatch.setattr(replica.flushing, "_answer", lose_the_answer)
    answer = await Buyer(replica.shop).ask(event, event.seats)
    assert cut
    assert answer.status == 201
    assert await truth.states(event.event_id) == [("held", 1)]
    assert await truth.kinds_of(answer.body["hold_id"]) == ["hold.placed"]


async def test_making_a_venue_twice_with_one_key_makes_one(replicas: list[Replica], truth: Truth) -> None:
    headers = {"Authorization": f"Bearer {replicas[0].shop.admin_key}", "Idempotency-Key": new_id()}
    wanted = {"name": f"Twice {new_id()}"}
    answers = await asyncio.gather(
        *(replicas[n % 2].shop.call("POST", "/api/v1/admin/venues", wanted, headers=headers) for n in range(6))
    )
    assert [answer.status for answer in answers] == [201] * 6
    assert len({answer.body["venue_id"] for answer in answers}) == 1
    assert await truth.conn.fetchval("SELECT count(*) FROM venues WHERE name = $1", wanted["name"]) == 1
    other = await replicas[0].shop.call("POST", "/api/v1/admin/venues", {"name": "Other"}, headers=headers)
    assert (other.status, other.code) == (422, "idempotency_mismatch")


async def test_keys_are_kept_for_a_day_and_then_purged(replica: Replica, truth: Truth) -> None:
    assert KEPT_S >= 24 * 3600
    event = await replica.shop.event(seats=2)
    old, recent = new_id(), new_id()
    for key, seat in zip((old, recent), event.seats, strict=True):
        await Buyer(replica.shop).ask(event, [seat], key=key)
    await truth.conn.execute(
        "UPDATE idempotency SET created_at = created_at - make_interval(secs => $2) WHERE key = $1", old, KEPT_S + 1
    )
    purger = Purger(replica.pool)

    async def purged() -> bool:
        return await purger.run_once() == 0

    await wait_until(purged)
    kept = await truth.conn.fetch("SELECT key FROM idempotency WHERE key = ANY ($1)", [old, recent])
    assert [row["key"] for row in kept] == [recent]


def _replayed(answer: Answer) -> bool:
    return answer.headers.get("Idempotency-Replayed") == "true"


def _but_correlation(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.body.items() if name != "correlation_id"}
