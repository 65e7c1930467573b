"""How a hold ends without a sale: its buyer releases it, or its time is over."""

import asyncio

import pytest

from reservation.workers import HOLDS_KEPT_S, Purger
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Buyer, Purchase, Shop
from ticketflow.events import hold_token, new_id

TTL_S, GRACE_S = 300, 60


async def test_released_seats_are_free_for_others(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=1, standing=1)
    purchase = await Buyer(shop).hold(event, event.seats, standing=1)
    answer = await purchase.release()
    assert (answer.status, answer.body["state"], answer.body["seconds_left"]) == (200, "RELEASED", 0)
    assert "token" not in answer.body
    assert await event.states() == {"free": 2, "held": 0, "sold": 0}
    assert await truth.kinds_of(purchase.hold_id) == ["hold.placed", "hold.released"]
    await Buyer(shop).hold(event, event.seats)


async def test_releasing_twice_frees_nobody_elses_seat(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=1)
    first = await Buyer(shop).hold(event, event.seats)
    await first.release()
    second = await Buyer(shop).hold(event, event.seats)
    assert (await first.release()).status == 200
    assert await truth.owners(event.event_id) == {event.seats[0]: second.hold_id}
    assert await truth.kinds_of(first.hold_id) == ["hold.placed", "hold.released"]


async def test_ten_releases_at_once_are_one(replicas: list[Replica], truth: Truth) -> None:
    event = await replicas[0].shop.event(seats=1)
    purchase = await Buyer(replicas[0].shop).hold(event, event.seats)
    answers = await asyncio.gather(*(purchase.release() for _ in range(10)))
    assert [answer.status for answer in answers] == [200] * 10
    assert await truth.kinds_of(purchase.hold_id) == ["hold.placed", "hold.released"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_hold_is_its_token_bearers_only(shop: Shop, method: str) -> None:
    event = await shop.event(seats=2)
    ours, theirs = [await Buyer(shop).hold(event, [seat]) for seat in event.seats]
    path = f"/api/v1/holds/{ours.hold_id}"

    async def refusal(token: str | None) -> tuple[int, str | None]:
        answer = await shop.call(method, path, headers={} if token is None else {"X-Hold-Token": token})
        return answer.status, answer.code

    assert await refusal(None) == (401, "hold_token_missing")
    assert await refusal("guess") == (403, "hold_token_wrong")
    assert await refusal(theirs.token) == (403, "hold_token_wrong")
    assert (await ours.read_hold()).body["state"] == "HELD"


async def test_a_token_of_the_key_before_still_opens(shop: Shop) -> None:
    event = await shop.event(seats=1)
    purchase = await Buyer(shop).hold(event, event.seats)
    purchase.token = hold_token.issue(["old-token-key"], purchase.hold_id)
    assert (await purchase.read_hold()).status == 200


async def test_a_hold_that_never_was_is_unknown(shop: Shop) -> None:
    answer = await shop.call("GET", f"/api/v1/holds/{new_id()}", headers={"X-Hold-Token": "any"})
    assert (answer.status, answer.code) == (404, "hold_unknown")


async def test_a_hold_counts_down(shop: Shop, truth: Truth) -> None:
    event = await shop.event(seats=1, hold_ttl_s=TTL_S)
    purchase = await Buyer(shop).hold(event, event.seats)
    await truth.let_pass(purchase.hold_id, 100)
    assert 190 <= (await purchase.read_hold()).body["seconds_left"] <= 200


async def test_in_its_grace_a_hold_shows_expired_and_keeps_its_seats(replica: Replica, truth: Truth) -> None:
    purchase, seats = await _hold_aged(replica.shop, truth, TTL_S + 1)
    assert (await purchase.read_hold()).body["state"] == "EXPIRED"
    assert (await purchase.release()).code == "hold_expired"
    await replica.sweeper.run_once()
    assert await truth.kinds_of(purchase.hold_id) == ["hold.placed"]
    taking = await Buyer(replica.shop).ask(*seats)
    assert taking.code == "seat_unavailable"


async def test_after_its_grace_the_seats_are_free_with_no_sweeper(shop: Shop, truth: Truth) -> None:
    purchase, (event, seats) = await _hold_aged(shop, truth, TTL_S + GRACE_S + 1)
    availability = await event.availability()
    assert [seat["state"] for seat in availability["seats"]] == ["free"]
    assert await event.states() == {"free": 2, "held": 0, "sold": 0}
    taken = await Buyer(shop).ask(event, seats, standing=1)
    assert taken.status == 201
    assert set((await truth.owners(event.event_id)).values()) == {taken.body["hold_id"]}
    assert await truth.kinds_of(purchase.hold_id) == ["hold.placed"], "nothing has announced it yet"


async def test_who_lost_his_seats_by_time_cannot_free_them(replica: Replica, truth: Truth) -> None:
    """The fence: neither the old buyer's release nor the sweeper touches what the new owner has."""
    old, (event, seats) = await _hold_aged(replica.shop, truth, TTL_S + GRACE_S + 1)
    new = await Buyer(replica.shop).hold(event, seats)
    assert (await old.release()).code == "hold_expired"
    await _sweep(replica)
    assert (await old.read_hold()).body["state"] == "EXPIRED"
    assert (await new.read_hold()).body["state"] == "HELD"
    owners = await truth.owners(event.event_id)
    assert owners.pop(seats[0]) == new.hold_id
    assert list(owners.values()) == [None], "the standing place was the old one's still, and is freed"
    await truth.check([event.event_id])


async def test_two_sweepers_tell_an_expiry_once(replicas: list[Replica], truth: Truth) -> None:
    shop = replicas[0].shop
    event = await shop.event(seats=40, seats_per_hold_max=1)
    holds = [await Buyer(shop).hold(event, [seat]) for seat in event.seats]
    for hold in holds:
        await truth.let_pass(hold.hold_id, TTL_S + GRACE_S + 1)
    await asyncio.gather(*(_sweep(replica) for replica in replicas * 2))
    for hold in holds:
        assert await truth.kinds_of(hold.hold_id) == ["hold.placed", "hold.expired"]
    assert await truth.states(event.event_id) == [("free", 40)]


async def test_old_ended_holds_are_purged_and_sold_ones_kept(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=3)
    released, sold, recent = [await Buyer(replica.shop).hold(event, [seat]) for seat in event.seats]
    await released.release()
    await recent.release()
    await replica.settle(sold.hold_id)
    await truth.conn.execute(
        "UPDATE holds SET ended_at = ended_at - make_interval(secs => $2) WHERE hold_id = ANY ($1::uuid[])",
        [released.hold_id, sold.hold_id],
        HOLDS_KEPT_S + 1,
    )
    while await Purger(replica.pool).run_once():
        pass
    assert (await released.read_hold()).code == "hold_unknown"
    assert (await sold.read_hold()).body["state"] == "SOLD"
    assert (await recent.read_hold()).body["state"] == "RELEASED"


async def _hold_aged(shop: Shop, truth: Truth, seconds: float):  # type: ignore[no-untyped-def]
    """A hold on a seat and a standing place, as it is ``seconds`` after it was placed; what to ask for its seats."""
    event = await shop.event(seats=1, standing=1, hold_ttl_s=TTL_S, grace_s=GRACE_S)
    purchase: Purchase = await Buyer(shop).hold(event, event.seats, standing=1)
    await truth.let_pass(purchase.hold_id, seconds)
    return purchase, (event, event.seats)


async def _sweep(replica: Replica) -> None:
    while await replica.sweeper.run_once():
        pass
