"""What handlers leave to be carried out with the next statement: MariaDB alone can do that. Nobody else pays for it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.contract.conftest import fresh
from tests.contract.receiving import PEER, STREAM, bodies, hello, watermark
from tests.contract.stores import Store, event, note
from tests.support.packets import packets
from ticketflow.delivery import Batched, Inbox
from ticketflow.events import Envelope, HoldExpired, HoldReleased, envelope_for
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import Result, Together

EFFECT = "INSERT INTO effects (n, event_key, note) VALUES (%s, %s, %s)"
TAKEN = 1000  # a number that is given twice


@pytest.fixture
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with fresh(request, "mariadb") as store:
        yield store


def expired(key: str) -> Envelope:
    return envelope_for(HoldExpired(hold_id=key), key=key, correlation_id="test")


async def deferring(conn: Any, envelopes: Sequence[Envelope]) -> None:
    """A handler: nothing that it writes has been written when it returns. Of those noted as bad, one is too many."""
    writes = Together(conn)
    for envelope in envelopes:
        number = TAKEN if note(envelope).startswith("bad") else None
        await writes.ask(EFFECT, (number, envelope.key, note(envelope)))
    writes.defer()


async def receiver_of(store: Store) -> Inbox[Any]:
    handlers = {kind: Batched[Any](deferring) for kind in (HoldReleased.kind, HoldExpired.kind)}
    receiver = Inbox(store.pool, store.dialect, stream=STREAM, handlers=handlers)
    await receiver.hello(hello(), PEER)
    await store.do(EFFECT, TAKEN, "", "taken")
    return receiver


async def applied(store: Store) -> set[str]:
    return {key for key, _ in await store.effects()} - {""}


async def test_all_that_new_events_need_is_three_packets(store: Store) -> None:
    receiver = await receiver_of(store)
    await receiver.apply(hello(), 1, bodies([event("a")]))
    with packets() as sent:
        await receiver.apply(hello(), 2, bodies([event("b"), event("c")]))
        await receiver.apply(hello(), 4, bodies([event("d")]))
    assert [text.split(" ")[0] for text in sent] == ["BEGIN;SELECT", "INSERT", "COMMIT"] * 2
    assert await applied(store) == {"a", "b", "c", "d"}


async def test_of_a_batch_only_the_culprit_is_parked(store: Store) -> None:
    receiver = await receiver_of(store)
    sent = [event(f"k{n}", "bad" if n == 7 else "good") for n in range(12)]
    assert await receiver.apply(hello(), 1, bodies(sent)) == 12
    assert await store.parked() == [(8, "failed")]
    assert await applied(store) == {f"k{n}" for n in range(12)} - {"k7"}
    assert await store.rows("SELECT COUNT(*) FROM delivery_inbox") == [(12,)]


async def test_one_that_came_alone_is_parked_for_its_own_fault(store: Store) -> None:
    receiver = await receiver_of(store)
    assert await receiver.apply(hello(), 1, bodies([event("a", "bad")])) == 1
    assert await receiver.apply(hello(), 2, bodies([event("a", "good"), event("b", "good")])) == 3
    assert await store.parked() == [(1, "failed"), (2, "behind")]
    assert await applied(store) == {"b"}


@pytest.mark.parametrize("culprit", [0, 1, 2, 3])
async def test_a_handler_pays_for_none_that_ran_before_it(store: Store, culprit: int) -> None:
    receiver = await receiver_of(store)
    names = [f"{'bad' if number == culprit else 'good'}-{number}" for number in range(4)]
    sent = [event(names[0]), event(names[1]), expired(names[2]), event(names[3])]
    assert await receiver.apply(hello(), 1, bodies(sent)) == 4
    assert await store.parked() == [(culprit + 1, "failed")]
    assert await applied(store) == {name for name in names if name.startswith("good")}


async def test_when_all_but_one_are_known_the_one_is_to_blame(store: Store) -> None:
    receiver = await receiver_of(store)
    known, bad = event("a"), event("b", "bad")
    await receiver.apply(hello(), 1, bodies([known]))
    assert await receiver.apply(hello(), 2, bodies([known, bad, known])) == 4
    assert await store.parked() == [(3, "failed")]
    assert await watermark(receiver) == 4


async def test_an_answer_that_says_try_again_parks_nobody(store: Store) -> None:
    refusals = [2]

    def doubts(_result: Result) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise Retryable("the row is not as it was")

    async def many(conn: Any, envelopes: Sequence[Envelope]) -> None:
        writes = Together(conn)
        for envelope in envelopes:
            await writes.ask(EFFECT, (None, envelope.key, ""), doubts)
        writes.defer()

    receiver = Inbox(store.pool, store.dialect, stream=STREAM, handlers={HoldReleased.kind: Batched[Any](many)})
    await receiver.hello(hello(), PEER)
    assert await receiver.apply(hello(), 1, bodies([event("a"), event("b")])) == 2
    assert await applied(store) == {"a", "b"}
    assert await store.parked() == []


async def test_what_is_lost_with_its_connection_is_written_once_all_the_same(store: Store) -> None:
    crashes = [2]

    async def crash(conn: Any, envelopes: Sequence[Envelope]) -> None:
        await deferring(conn, envelopes)
        if crashes[0]:
            crashes[0] -= 1
            await store.kill_connections()

    receiver = Inbox(store.pool, store.dialect, stream=STREAM, handlers={HoldReleased.kind: Batched[Any](crash)})
    await receiver.hello(hello(), PEER)
    assert await receiver.apply(hello(), 1, bodies([event("a"), event("b")])) == 2
    assert sorted(await store.effects()) == [("a", "a"), ("b", "b")]
    assert await store.parked() == []
