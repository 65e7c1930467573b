"""How a transaction of an inbox begins: what is recorded at once is not there unless it should have been."""

from typing import Any

import pytest

from tests.contract.receiving import bodies, greeted, hello, watermark
from tests.contract.stores import Store, event, events, keys_in_order, note
from ticketflow.delivery import Poison
from ticketflow.delivery.mariadb_inbox import FEW_PARKED
from ticketflow.events import Envelope
from ticketflow.feed import Refusal


async def recorded(store: Store) -> list[int]:
    """The seqs that have dedup keys."""
    return [row[0] for row in await store.rows("SELECT seq FROM delivery_inbox ORDER BY seq")]


async def forget(store: Store) -> None:
    """All dedup keys are purged."""
    async with store.pool.transaction() as conn:
        await store.dialect.purge_inbox(conn, -60, 1000)
    assert await recorded(store) == []


async def test_what_is_applied_is_passed_over_though_its_dedup_key_is_purged(store: Store) -> None:
    receiver = await greeted(store)
    sent = events("a", 5)
    await receiver.apply(hello(), 1, bodies(sent[:3]))
    await forget(store)
    assert await receiver.apply(hello(), 1, bodies(sent[:3])) == 3
    assert await recorded(store) == []
    assert await receiver.apply(hello(), 2, bodies(sent[1:])) == 5
    assert await recorded(store) == [4, 5]
    assert [text for _, text in await store.effects()] == [f"a-{n}" for n in range(1, 6)]


@pytest.mark.parametrize("times", [1, 2])
async def test_what_is_refused_leaves_no_dedup_key(store: Store, times: int) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies([event("a", "first")]))
    later = [event("a", "later"), event("b", "later")]
    for _ in range(times):
        with pytest.raises(Refusal, match="gap"):
            await receiver.apply(hello(), 3, bodies(later))
        with pytest.raises(Refusal, match="sender_behind"):
            await receiver.apply(hello(epoch=2), 2, bodies(later))
        with pytest.raises(Refusal, match="fenced"):
            await receiver.apply(hello(fence=0), 2, bodies(later))
    assert await recorded(store) == [1]
    assert await receiver.apply(hello(), 2, bodies(later)) == 3
    assert sorted(await store.effects()) == [("a", "first"), ("a", "later"), ("b", "later")]


async def test_one_that_is_known_takes_nothing_from_its_neighbours(store: Store) -> None:
    receiver = await greeted(store)
    known, *new = events("a", 4)
    await receiver.apply(hello(), 1, bodies([known]))
    assert await receiver.apply(hello(), 2, bodies([new[0], known, new[1], new[2], new[1]])) == 6
    assert keys_in_order(await store.effects()) == {"a": ["a-1", "a-2", "a-3", "a-4"]}
    assert await recorded(store) == [1, 2, 4, 5]
    assert await watermark(receiver) == 6


@pytest.mark.parametrize("parked", [FEW_PARKED, FEW_PARKED + 1])
async def test_of_many_keys_those_wait_that_have_something_parked(store: Store, parked: int) -> None:
    async def handler(conn: Any, envelope: Envelope) -> None:
        if note(envelope) == "bad":
            raise Poison("never")
        await store.write_effect(conn, envelope)

    receiver = await greeted(store, handler)
    await receiver.apply(hello(), 1, bodies([event(f"bad-{n:02}", "bad") for n in range(parked)]))
    sent = [event(key, "good") for n in range(parked) for key in (f"bad-{n:02}", f"good-{n:02}")]
    assert await receiver.apply(hello(), parked + 1, bodies(sent)) == 3 * parked
    assert sorted(await store.effects()) == [(f"good-{n:02}", "good") for n in range(parked)]
    rows = await store.rows("SELECT event_key FROM delivery_parked WHERE reason = 'behind' ORDER BY position")
    assert [key for (key,) in rows] == [f"bad-{n:02}" for n in range(parked)]
    # And one of them, among few.
    last = 3 * parked
    assert await receiver.apply(hello(), last + 1, bodies([event("bad-03", "good"), event("c", "good")])) == last + 2
    assert ("c", "good") in await store.effects()
    assert (await store.parked())[-1] == (last + 1, "behind")
