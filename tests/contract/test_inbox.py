"""The inbox: effect, dedup key and watermark in one transaction."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from tests.contract.receiving import PEER, bodies, greeted, hello, inbox, watermark
from tests.contract.stores import Store, event, events, keys_in_order
from ticketflow.delivery import Deduplicator
from ticketflow.events import Envelope, encode, new_id
from ticketflow.feed import VERSION, Hello, Position, Refusal
from ticketflow.runtime.errors import Unavailable


async def test_events_are_applied_in_order_and_the_watermark_follows(store: Store) -> None:
    receiver = await greeted(store)
    assert await receiver.apply(hello(), 1, bodies(events("a", 3))) == 3
    assert await store.effects() == [("a", "a-1"), ("a", "a-2"), ("a", "a-3")]
    assert await watermark(receiver) == 3


async def test_a_new_receiver_stands_at_the_beginning_of_the_senders_epoch(store: Store) -> None:
    assert await inbox(store).hello(hello(epoch=7), PEER) == Position(7, 0)


async def test_a_receiver_without_events_belongs_to_whichever_epoch_comes(store: Store) -> None:
    receiver = inbox(store)
    await receiver.hello(hello(epoch=7), PEER)
    assert await receiver.hello(hello(epoch=8), PEER) == Position(8, 0)
    await receiver.apply(hello(epoch=8), 1, bodies([event("a")]))
    assert await receiver.hello(hello(epoch=9), PEER) == Position(8, 1)


async def test_events_of_another_epoch_are_refused(store: Store) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies([event("a")]))
    with pytest.raises(Refusal, match="sender_behind"):
        await receiver.apply(hello(epoch=2), 2, bodies([event("b")]))
    assert await watermark(receiver) == 1


async def test_a_stream_that_is_not_received_here_is_refused(store: Store) -> None:
    with pytest.raises(Refusal, match="stream_unknown"):
        await inbox(store).hello(Hello(VERSION, "other", 1, 1, 0, "sender"), PEER)


async def test_a_gap_is_refused(store: Store) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies([event("a")]))
    with pytest.raises(Refusal, match="gap"):
        await receiver.apply(hello(), 3, bodies([event("a")]))
    assert await watermark(receiver) == 1


async def test_a_redelivered_prefix_is_skipped(store: Store) -> None:
    receiver = await greeted(store)
    sent = events("a", 5)
    await receiver.apply(hello(), 1, bodies(sent[:3]))
    assert await receiver.apply(hello(), 2, bodies(sent[1:])) == 5
    assert await receiver.apply(hello(), 1, bodies(sent[:2])) == 5
    assert [text for _, text in await store.effects()] == ["a-1", "a-2", "a-3", "a-4", "a-5"]


async def test_a_known_event_under_another_seq_is_dropped(store: Store) -> None:
    receiver = await greeted(store)
    first, second = events("a", 2)
    await receiver.apply(hello(), 1, bodies([first]))
    assert await receiver.apply(hello(), 2, bodies([first, second, second])) == 4
    assert [text for _, text in await store.effects()] == ["a-1", "a-2"]


async def test_an_older_fence_is_refused_at_hello_and_afterwards(store: Store) -> None:
    receiver = inbox(store)
    old, new = hello(fence=5), hello(fence=6)
    await receiver.hello(old, PEER)
    await receiver.hello(new, PEER)
    with pytest.raises(Refusal, match="fenced"):
        await receiver.hello(old, PEER)
    with pytest.raises(Refusal, match="fenced"):
        await receiver.apply(old, 1, bodies([event("a")]))
    assert await store.effects() == []
    assert await receiver.apply(new, 1, bodies([event("a")])) == 1


async def test_an_unknown_kind_is_ignored_once_and_for_all(store: Store) -> None:
    receiver = await greeted(store)
    strange = Envelope(
        id=new_id(),
        kind="moon.landed",
        version=1,
        key="a",
        occurred_at_us=1,
        correlation_id="c",
        payload=msgspec.Raw(b"\x80"),
    )
    assert await receiver.apply(hello(), 1, bodies([event("a", "1"), strange, event("a", "2")])) == 3
    assert [text for _, text in await store.effects()] == ["1", "2"]
    assert await store.rows("SELECT COUNT(*) FROM delivery_inbox") == [(3,)]
    assert await store.parked() == []


async def test_a_newer_version_with_further_fields_is_applied(store: Store) -> None:
    receiver = await greeted(store)
    body = msgspec.msgpack.decode(encode(event("a", "future")))
    body |= {"version": 9, "colour": "blue"}
    body["payload"] |= {"reason_in_full": ["it", {"was": "late"}]}
    assert await receiver.apply(hello(), 1, [msgspec.msgpack.encode(body)]) == 1
    assert await store.effects() == [("a", "future")]


async def test_two_sessions_at_once_apply_each_event_once(store: Store) -> None:
    sent = bodies(events("a", 40))
    one, two = await greeted(store), await greeted(store)

    async def send(receiver: Any) -> None:
        for start in range(0, 40, 4):
            await receiver.apply(hello(), start + 1, sent[start : start + 8])

    await asyncio.gather(send(one), send(two))
    assert keys_in_order(await store.effects()) == {"a": [f"a-{n}" for n in range(1, 41)]}


async def test_a_crash_between_effect_and_commit_leaves_nothing_half_applied(store: Store) -> None:
    crashes = 2

    async def crash(conn: Any, envelope: Envelope) -> None:
        nonlocal crashes
        await store.write_effect(conn, envelope)
        if crashes:
            crashes -= 1
            await store.kill_connections()

    receiver = await greeted(store, crash)
    assert await receiver.apply(hello(), 1, bodies(events("a", 3))) == 3
    assert crashes == 0
    assert [text for _, text in await store.effects()] == ["a-1", "a-2", "a-3"]
    assert await store.rows("SELECT COUNT(*) FROM delivery_inbox") == [(3,)]
    assert await store.parked() == []


async def test_a_store_that_stays_away_ends_the_apply_and_parks_nothing(store: Store) -> None:
    async def down(_conn: Any, _envelope: Envelope) -> None:
        raise Unavailable("still down")

    receiver = await greeted(store, down, patience_s=0.2)
    with pytest.raises(Unavailable):
        await receiver.apply(hello(), 1, bodies([event("a")]))
    assert await watermark(receiver) == 0
    assert await store.parked() == []


async def test_an_event_that_meets_a_half_restored_store_waits_and_is_not_parked(store: Store) -> None:
    receiver = await greeted(store, patience_s=0.2)
    await store.do("ALTER TABLE effects RENAME TO effects_to_come")
    with pytest.raises(Unavailable, match="effects"):
        await receiver.apply(hello(), 1, bodies([event("a")]))
    await store.do("ALTER TABLE effects_to_come RENAME TO effects")
    assert await store.parked() == []
    assert await receiver.apply(hello(), 1, bodies([event("a")])) == 1
    assert await store.effects() == [("a", "a")]


async def test_a_source_without_seq_knows_what_it_has_seen(store: Store) -> None:
    seen = Deduplicator(store.dialect, "amqp")
    first, second, third = (new_id() for _ in range(3))
    async with store.pool.transaction() as conn:
        assert await seen.first_time(conn, first)
        assert not await seen.first_time(conn, first)
    with suppress(ZeroDivisionError):
        async with store.pool.transaction() as conn:
            assert await seen.first_time(conn, second)
            raise ZeroDivisionError
    async with store.pool.transaction() as conn:
        assert await seen.first_times(conn, [third, first, second, third]) == {second, third}
        assert await seen.first_times(conn, []) == set()


async def test_streams_have_watermarks_of_their_own_but_share_the_dedup_keys(store: Store) -> None:
    receiver = await greeted(store)
    twice = event("a")
    async with store.pool.transaction() as conn:
        assert await Deduplicator(store.dialect, "amqp").first_time(conn, twice.id)
    assert await receiver.apply(hello(), 1, bodies([twice])) == 1
    assert await store.effects() == []
