"""Holds that are released together: one transaction, and each as if it were alone."""

import asyncio

import pytest

from reservation.refusals import Refused
from reservation.store_holds import HoldStore
from reservation.store_releasing import Releasing
from tests.integration.reservation.house import Replica, Truth
from tests.integration.reservation.test_together import transaction
from tests.support.buyer import Buyer, Event
from ticketflow.events import new_id
from ticketflow.runtime.correlation import bind_correlation
from ticketflow.runtime.errors import Indefinite


@pytest.fixture
def releasing(replica: Replica) -> Releasing:
    return Releasing(replica.pool, replica.outbox, HoldStore(replica.pool, replica.outbox))


async def held(replica: Replica, count: int) -> tuple[Event, list[str]]:
    """An event, and a hold of each of its seats."""
    event = await replica.shop.event(seats=count)
    return event, [(await Buyer(replica.shop).hold(event, [seat])).hold_id for seat in event.seats]


async def test_each_is_decided_on_its_own(replica: Replica, truth: Truth, releasing: Releasing) -> None:
    event, [good, over, sold, released] = await held(replica, 4)
    await truth.let_pass(over, 301)
    await replica.settle(sold)
    await releasing.release(released)
    asked = [good, over, sold, released, good, new_id()]
    outcomes = await asyncio.gather(*map(releasing.release, asked), return_exceptions=True)
    told = [outcome.code if isinstance(outcome, Refused) else outcome for outcome in outcomes]
    assert told == [None, "hold_expired", "hold_sold", None, None, "hold_unknown"]
    assert await truth.states(event.event_id) == [("free", 2), ("held", 1), ("sold", 1)]
    for hold_id in (good, released):
        assert await truth.kinds_of(hold_id) == ["hold.placed", "hold.released"]
    await truth.check([event.event_id])


async def test_they_share_a_transaction_and_not_their_correlation(
    replica: Replica, truth: Truth, releasing: Releasing
) -> None:
    event, holds = await held(replica, 4)

    async def release(hold_id: str) -> None:
        with bind_correlation(f"leaves-{hold_id[-4:]}"):
            await releasing.release(hold_id)

    await asyncio.gather(*map(release, holds))
    assert (
        await truth.conn.fetchval("SELECT count(DISTINCT xmin::text) FROM holds WHERE hold_id = ANY ($1)", holds) == 1
    )
    for hold_id in holds:
        assert (await truth.envelopes_of(hold_id))[-1].correlation_id == f"leaves-{hold_id[-4:]}"
    assert await truth.states(event.event_id) == [("free", 4)]


async def test_a_hold_that_somebody_else_has_locked_holds_up_nobody(
    replica: Replica, dsn: str, truth: Truth, releasing: Releasing
) -> None:
    event, [locked, *others] = await held(replica, 3)
    async with transaction(dsn) as somebody:
        await somebody.execute("SELECT FROM holds WHERE hold_id = $1 FOR NO KEY UPDATE", locked)
        waits = asyncio.create_task(releasing.release(locked))
        await asyncio.gather(*map(releasing.release, others))
        assert not waits.done()
    await waits
    assert await truth.states(event.event_id) == [("free", 3)]


async def test_a_commit_without_an_answer_is_found_out(
    replica: Replica, truth: Truth, releasing: Releasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, holds = await held(replica, 3)
    commit = replica.pool._commit
    cut: list[bool] = []

    async def commit_and_lose_the_answer(connection) -> None:  # type: ignore[no-untyped-def]
        await commit(connection)
        if not cut:
            cut.append(True)
            raise Indefinite("COMMIT was not answered")

    monkeypatch.setattr(replica.pool, "_commit", commit_and_lose_the_answer)
    await asyncio.gather(*map(releasing.release, holds))
    assert cut
    assert await truth.states(event.event_id) == [("free", 3)]
    for hold_id in holds:
        assert await truth.kinds_of(hold_id) == ["hold.placed", "hold.released"]
