"""A sender that lost history, seen from each end: a new epoch, and what the receiver sets aside."""

from typing import Any

import pytest

from tests.contract.receiving import PEER, STREAM, bodies, greeted, hello, inbox
from tests.contract.sending import leader, stage
from tests.contract.stores import Store, event, events
from ticketflow.delivery import HistoryMoved, HoleCheck, Poison, greeting
from ticketflow.delivery.history import NotThere, StreamHistory
from ticketflow.delivery.resume import Forking
from ticketflow.events import Envelope
from ticketflow.feed import Hello, Position


def history(store: Store) -> StreamHistory[Any]:
    return StreamHistory(store.pool, store.dialect)


def forked(after_seq: int, *, epoch: int = 2, last_seq: int | None = None) -> Hello:
    """HELLO of a sender that was in epoch 1 and lost what was after ``after_seq``."""
    return hello(epoch=epoch, last_seq=after_seq if last_seq is None else last_seq, forks=((1, after_seq),))


async def phantoms(store: Store) -> list[tuple[int, int]]:
    """(epoch, seq) of those that are unresolved."""
    rows = await store.rows("SELECT epoch, seq FROM delivery_phantom WHERE resolved_at IS NULL ORDER BY epoch, seq")
    return [(row[0], row[1]) for row in rows]


# -- the sending end


async def test_a_fork_keeps_what_is_left_and_takes_a_newer_epoch_than_the_receivers(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 3))
    await ledger.stamp()
    await ledger.mark_acked(2)
    before = await ledger.state()
    ahead = before.epoch + 10**15
    epoch = await ledger.fork(Forking(3, ahead, 9), before)
    assert epoch is not None
    assert epoch > ahead
    assert await ledger.state() == before._replace(epoch=epoch)
    assert await ledger.forks() == [(before.epoch, 3)]
    assert await store.seqs(STREAM) == [1, 2, 3]


async def test_a_fork_whose_commit_was_not_answered_is_not_made_twice(store: Store) -> None:
    ledger = await leader(store)
    seen = await ledger.state()
    epoch = await ledger.fork(Forking(0, seen.epoch, 9), seen)  # this went through, and nobody heard of it
    assert await ledger.fork(Forking(0, seen.epoch, 9), seen) is None
    assert (await ledger.state()).epoch == epoch
    assert await ledger.forks() == [(seen.epoch, 0)]


async def test_nothing_is_stamped_when_the_store_was_set_back_or_forked_under_the_session(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 3))
    await ledger.stamp()
    await store.do("UPDATE delivery_outbox SET seq = NULL WHERE seq > 2")
    await store.do("UPDATE delivery_stream SET last_seq = 2")
    with pytest.raises(HistoryMoved):
        await ledger.stamp()
    assert await store.seqs(STREAM) == [1, 2, None]
    await ledger.state()  # a new session
    await history(store).fork(STREAM, from_epoch=1, after_seq=2, actor="me")
    with pytest.raises(HistoryMoved):
        await ledger.stamp()
    await ledger.state()
    assert (await ledger.stamp()).last_seq == 3


async def test_a_fork_by_hand_tells_of_the_receivers_epoch_and_of_our_own(store: Store) -> None:
    ledger = await leader(store)
    await stage(store, *events("a", 3))
    own = (await ledger.state()).epoch
    await ledger.stamp()
    epoch = await history(store).fork(STREAM, from_epoch=7, after_seq=2, actor="me")
    assert (await ledger.state()).epoch == epoch > own
    assert await ledger.forks() == [(7, 2), (own, 3)]
    for stream, after_seq in ((STREAM, 4), ("other", 0)):
        with pytest.raises(NotThere):
            await history(store).fork(stream, from_epoch=7, after_seq=after_seq, actor="me")
    assert [row[0] for row in await store.rows("SELECT action FROM delivery_audit")] == ["stream.fork"]


# -- the receiving end


async def test_a_receiver_follows_and_lists_what_its_sender_no_longer_has(store: Store) -> None:
    receiver = await greeted(store)
    sent = events("a", 5)
    await receiver.apply(hello(), 1, bodies(sent))
    assert await receiver.hello(forked(3), PEER) == Position(2, 3)
    assert await phantoms(store) == [(1, 4), (1, 5)]
    listed = await history(store).phantoms(STREAM)
    assert [(one.seq, one.event_id, one.key, one.parked) for one in listed] == [
        (4, sent[3].id, "a", False),
        (5, sent[4].id, "a", False),
    ]
    (found,) = await history(store).findings()
    assert (found.what, found.epoch, found.first_seq, found.last_seq, found.events) == ("phantom", 1, 4, 5, 2)
    fresh = [event("b", "b-1"), event("b", "b-2"), event("b", "b-3")]
    assert await receiver.apply(forked(3, last_seq=6), 4, bodies(fresh)) == 6
    assert len(await store.effects()) == 8
    assert await receiver.hello(forked(3, last_seq=6), PEER) == Position(2, 6)  # once is enough
    assert await phantoms(store) == [(1, 4), (1, 5)]


async def test_a_phantom_that_is_sent_again_is_known_and_no_phantom_any_longer(store: Store) -> None:
    receiver = await greeted(store)
    sent = events("a", 5)
    await receiver.apply(hello(), 1, bodies(sent))
    again = forked(3, last_seq=9)  # restored to when these were staged and had no seq yet
    await receiver.hello(again, PEER)
    assert await receiver.apply(again, 4, bodies([event("b", "b-1"), sent[4], sent[3]])) == 6
    assert [text for _, text in await store.effects()] == ["a-1", "a-2", "a-3", "a-4", "a-5", "b-1"]
    assert await phantoms(store) == []
    await HoleCheck(store.pool, store.dialect).run_once()
    assert await store.rows("SELECT first_seq FROM delivery_hole") == []


async def test_many_phantoms_are_set_aside_in_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "PHANTOM_ROWS_MAX", 2)
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies(events("a", 9)))
    assert await receiver.hello(forked(2), PEER) == Position(2, 2)
    assert await phantoms(store) == [(1, seq) for seq in range(3, 10)]


async def test_a_parked_phantom_is_told_apart(store: Store) -> None:
    async def handler(conn: Any, envelope: Envelope) -> None:
        if envelope.key == "bad":
            raise Poison("never")
        await store.write_effect(conn, envelope)

    receiver = await greeted(store, handler)
    await receiver.apply(hello(), 1, [*bodies([event("a"), event("bad"), event("c")]), b"\xc1"])
    assert await receiver.hello(forked(1), PEER) == Position(2, 1)
    rows = await store.rows("SELECT seq, parked, event_key FROM delivery_phantom ORDER BY seq")
    assert [(seq, bool(parked), key) for seq, parked, key in rows] == [(2, True, "bad"), (3, False, "c")]
    assert await store.parked() == [(2, "poison"), (4, "undecodable")]


async def test_a_fork_while_the_receiver_has_lost_history_too(store: Store) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies(events("a", 2)))
    assert await receiver.hello(forked(4, last_seq=9), PEER) == Position(2, 2)
    assert await phantoms(store) == []


async def test_a_sender_that_was_restored_to_before_its_own_fork_is_told_and_then_followed(store: Store) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies(events("a", 5)))
    await receiver.hello(forked(3), PEER)
    await receiver.apply(forked(3, last_seq=5), 4, bodies(events("b", 2)))
    assert await receiver.hello(hello(last_seq=2), PEER) == Position(2, 5)  # epoch 1 again: it must fork
    assert await receiver.hello(forked(2, epoch=3), PEER) == Position(3, 2)
    assert await phantoms(store) == [(1, 4), (1, 5), (2, 3), (2, 4), (2, 5)]


async def test_a_stranger_is_not_followed(store: Store) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies(events("a", 2)))
    stranger = hello(epoch=9, last_seq=50, forks=((8, 1),))
    assert await receiver.hello(stranger, PEER) == Position(1, 2)
    assert await inbox(store).hello(hello(epoch=10, last_seq=50, forks=((1, 0), (9, 40))), PEER) == Position(10, 0)
    assert await phantoms(store) == [(1, 1), (1, 2)]


async def test_what_is_resolved_is_no_longer_told_and_leaves_an_audit_row(store: Store) -> None:
    receiver = await greeted(store)
    await receiver.apply(hello(), 1, bodies(events("a", 5)))
    await receiver.hello(forked(3), PEER)
    people = history(store)
    assert await people.resolve("phantom", STREAM, epoch=1, seq=5, note="refunded", actor="me") == 1
    (found,) = await people.findings()
    assert (found.first_seq, found.last_seq) == (4, 4)
    assert await people.resolve("phantom", STREAM, epoch=None, seq=None, note="nothing to do", actor="me") == 1
    assert await people.findings() == []
    assert [found.state for found in await people.findings(settled=True)] == ["resolved"]
    with pytest.raises(NotThere):
        await people.resolve("phantom", STREAM, epoch=None, seq=None, note="again", actor="me")
    rows = await store.rows("SELECT actor, action, subject, detail FROM delivery_audit ORDER BY id")
    assert rows == [
        ("me", "phantom.resolve", "orders, epoch 1, seq 5", "1: refunded"),
        ("me", "phantom.resolve", "orders", "1: nothing to do"),
    ]
