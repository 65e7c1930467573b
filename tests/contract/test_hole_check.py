"""Counting, and filling what is missing, in both stores."""

from typing import Any

import msgspec
import pytest

from tests.contract.delivering import delivery
from tests.contract.receiving import PEER, STREAM, bodies, greeted, hello
from tests.contract.sending import leader, stage
from tests.contract.stores import Store, event, events, note
from tests.contract.test_retention import age
from tests.support.waiting import wait_until
from ticketflow.delivery import Deduplicator, HoleCheck, Inbox, Poison, Retention
from ticketflow.delivery.history import StreamHistory
from ticketflow.events import Envelope, new_id
from ticketflow.feed import Position, Refusal

Ends = tuple[Store, Store]


def checks(store: Store, **settings: Any) -> HoleCheck[Any]:
    return HoleCheck(store.pool, store.dialect, **settings)


async def holes(store: Store) -> list[tuple[int, int, str]]:
    """(first, last, how it stands), in order of finding."""
    rows = await store.rows(
        "SELECT first_seq, last_seq, filled_at, given_up_at, resolved_at FROM delivery_hole ORDER BY position"
    )
    ends = ("filled", "given up", "resolved")
    return [
        (row[0], row[1], " ".join(name for name, at in zip(ends, row[2:], strict=True) if at is not None))
        for row in rows
    ]


async def checked_seq(store: Store, side: str = "in") -> int:
    rows = await store.rows("SELECT checked_seq FROM delivery_check WHERE side = %s AND stream = %s", side, STREAM)
    seq: int = rows[0][0]
    return seq


async def lose(store: Store, *seqs: int) -> None:
    """Effect and dedup key of some events are gone, as when a table was repaired."""
    for seq in seqs:
        found = "(SELECT event_id FROM delivery_inbox WHERE stream = %s AND seq = %s)"
        await store.do(f"DELETE FROM effects WHERE event_id IN {found}", STREAM, seq)
        await store.do("DELETE FROM delivery_inbox WHERE stream = %s AND seq = %s", STREAM, seq)


async def received(store: Store, count: int) -> tuple[Inbox[Any], list[bytes]]:
    receiver = await greeted(store)
    sent = bodies(events("a", count))
    await receiver.apply(hello(), 1, sent)
    return receiver, sent


async def test_what_is_whole_is_counted_once_range_by_range(store: Store) -> None:
    await received(store, 25)
    check = checks(store, range_seqs=10)
    assert [await check.run_once() for _ in range(4)] == [1, 1, 0, 0]
    assert await checked_seq(store) == 25
    assert await holes(store) == []


async def test_a_hole_is_replayed_and_then_filled(store: Store) -> None:
    receiver, sent = await received(store, 9)
    await lose(store, 4, 5, 8)
    told: list[str] = []
    check = checks(store, rewound=told.append)
    await check.run_once()
    assert told == [STREAM]
    assert await holes(store) == [(4, 5, ""), (8, 8, "")]
    with pytest.raises(Refusal, match="gap"):  # whoever goes on as if nothing had happened is sent to ask again
        await receiver.apply(hello(), 10, sent[:1])
    assert await receiver.hello(hello(), PEER) == Position(1, 3)
    assert await receiver.apply(hello(), 4, sent[3:]) == 9
    assert sorted(text for _, text in await store.effects()) == [f"a-{n}" for n in range(1, 10)]
    await check.run_once()
    assert await holes(store) == [(4, 5, "filled"), (8, 8, "filled")]
    assert await StreamHistory(store.pool, store.dialect).findings() == []
    assert await receiver.hello(hello(), PEER) == Position(1, 9)


async def test_a_hole_that_the_sender_cannot_fill_holds_the_stream_up_for_a_few_hellos_only(store: Store) -> None:
    receiver, sent = await received(store, 9)
    await lose(store, 4, 8)
    check = checks(store)
    await check.run_once()
    assert [(await receiver.hello(hello(), PEER)).watermark for _ in range(3)] == [3, 3, 3]
    assert await receiver.apply(hello(), 4, sent[3:6]) == 6  # progress: it may try as often again
    assert [(await receiver.hello(hello(), PEER)).watermark for _ in range(4)] == [6, 6, 6, 9]
    await check.run_once()
    assert await holes(store) == [(4, 4, "filled"), (8, 8, "given up")]
    await store.do("UPDATE delivery_check SET checked_seq = 0")
    await check.run_once()
    assert await holes(store) == [(4, 4, "filled"), (8, 8, "given up")]  # not for ever
    assert await receiver.hello(hello(), PEER) == Position(1, 9)
    await StreamHistory(store.pool, store.dialect).resolve("hole", STREAM, epoch=1, seq=8, note="known", actor="me")
    await store.do("UPDATE delivery_check SET checked_seq = 0")
    await check.run_once()
    assert await holes(store) == [(4, 4, "filled"), (8, 8, "given up resolved")]


async def test_a_sender_that_lost_history_during_a_replay_sees_how_far_we_really_are(store: Store) -> None:
    receiver, _ = await received(store, 9)
    await lose(store, 2)
    await checks(store).run_once()
    assert await receiver.hello(hello(last_seq=9), PEER) == Position(1, 1)
    assert await receiver.hello(hello(last_seq=5), PEER) == Position(1, 9)


async def test_a_fork_during_a_replay_leaves_the_replay_to_what_is_shared(store: Store) -> None:
    receiver, sent = await received(store, 9)
    await lose(store, 2, 8)
    check = checks(store)
    await check.run_once()
    assert await receiver.hello(hello(epoch=2, last_seq=5, forks=((1, 5),)), PEER) == Position(2, 1)
    assert await receiver.apply(hello(epoch=2), 2, sent[1:5]) == 5
    await check.run_once()
    assert await holes(store) == [(2, 2, "filled"), (8, 8, "filled")]  # the second is no seq of ours any longer
    assert len(await store.rows("SELECT seq FROM delivery_phantom")) == 3


async def test_what_was_purged_is_no_hole(store: Store) -> None:
    receiver, _ = await received(store, 9)
    await age(store, "delivery_inbox", "received_at", 30, "seq <= 4 OR seq = 6")
    await Retention(store.pool, store.dialect).run_once()
    check = checks(store)
    await check.run_once()
    assert await holes(store) == []
    await lose(store, 8)
    await store.do("UPDATE delivery_check SET checked_seq = 0")
    await check.run_once()
    assert await holes(store) == [(8, 8, "")]
    assert await receiver.hello(hello(), PEER) == Position(1, 7)


async def test_a_hole_older_than_what_a_sender_keeps_is_told_and_not_tried(store: Store) -> None:
    receiver, _ = await received(store, 9)
    await lose(store, 4)
    await age(store, "delivery_inbox", "received_at", 10)
    await checks(store).run_once()
    assert await holes(store) == [(4, 4, "given up")]
    assert await receiver.hello(hello(), PEER) == Position(1, 9)


async def test_events_without_effect_or_key_of_their_own_are_no_holes(store: Store) -> None:
    async def handler(conn: Any, envelope: Envelope) -> None:
        if note(envelope) == "bad":
            raise Poison("never")
        await store.write_effect(conn, envelope)

    receiver = await greeted(store, handler)
    twice = event("a", "a-1")
    unknown = msgspec.structs.replace(twice, id=new_id(), kind="not.known.here")
    sent = [*bodies([twice, event("b", "bad"), event("b", "b-2"), twice, unknown]), b"\xc1", *bodies([twice])]
    assert await receiver.apply(hello(), 1, sent) == 7
    async with store.pool.transaction() as conn:  # what comes by a queue has no seq
        assert await Deduplicator(store.dialect, STREAM).first_time(conn, new_id())
    check = checks(store)
    await check.run_once()
    assert (await checked_seq(store), await holes(store)) == (7, [])
    await store.do("UPDATE delivery_inbox_stream SET watermark = 0")  # replayed from the beginning, all is known
    assert await receiver.apply(hello(), 1, sent) == 7
    assert len(await store.parked()) == 3
    await store.do("UPDATE delivery_check SET checked_seq = 0")
    await check.run_once()
    assert (await checked_seq(store), await holes(store)) == (7, [])


async def test_a_hole_in_the_outbox_is_told_once(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 9))
    await ledger.stamp()
    await ledger.mark_acked(7)
    await store.do("DELETE FROM delivery_outbox WHERE seq IN (1, 2, 5)")  # the first two as retention does
    check = checks(store)
    await check.run_once()
    assert await holes(store) == [(5, 5, "given up")]
    await store.do("UPDATE delivery_check SET checked_seq = 0")
    await check.run_once()
    assert await holes(store) == [(5, 5, "given up")]


async def test_events_that_are_lost_before_they_were_acknowledged_are_a_hole_wherever_they_are(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 5))
    await ledger.stamp()
    await ledger.mark_acked(2)
    await store.do("DELETE FROM delivery_outbox WHERE seq <= 4")
    await checks(store).run_once()
    assert await holes(store) == [(3, 4, "given up")]


async def test_counting_begins_again_when_it_is_due(store: Store) -> None:
    await received(store, 5)
    check = checks(store)
    await check.run_once()
    await lose(store, 3)
    await check.run_once()
    assert await holes(store) == []
    await age(store, "delivery_check", "recount_at", 2)
    await check.run_once()
    await check.run_once()
    assert await holes(store) == [(3, 3, "")]


async def test_a_hole_is_filled_over_the_feed_while_events_flow(ends: Ends) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 50))
        await wait_until(lambda: both.delivered(50))
        await lose(both.receiving, 7, 30)
        check = checks(both.receiving, rewound=both.renew)

        async def filled() -> bool:
            await check.run_once()
            return [how for _, _, how in await holes(both.receiving)] == ["filled", "filled"]

        await stage(both.sending, *events("b", 20))
        await wait_until(filled)
        await wait_until(lambda: both.delivered(70))
        assert len(await both.receiving.effects()) == 70


async def test_a_hole_at_both_ends_does_not_stop_the_stream(ends: Ends) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 20))
        await wait_until(lambda: both.delivered(20))
        await lose(both.receiving, 7)
        await both.sending.do("DELETE FROM delivery_outbox WHERE seq = 9")
        check = checks(both.receiving, rewound=both.renew)
        await check.run_once()
        await stage(both.sending, *events("b", 5))
        await wait_until(lambda: both.delivered(25), timeout_s=60)  # some HELLOs, each a second or two after the other
        await check.run_once()
        assert [how for _, _, how in await holes(both.receiving)] == ["filled"]
        assert len(await both.receiving.effects()) == 25
