"""Parked events are requeued in order, once each, whoever else is at work; a dry run changes nothing."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from tests.contract.parked import ACTOR, Scene
from tests.contract.receiving import STREAM, hello
from tests.contract.stores import Store, event, events, keys_in_order
from ticketflow.delivery.dialect import ParkedRow
from ticketflow.delivery.parking_shelf import NotParked
from ticketflow.events import Envelope, encode
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable


async def test_a_key_is_requeued_in_order_and_flows_again(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    first, second, third, fourth = events("k", 4)
    await scene.receive(first, second, event("other"), third)
    assert await scene.notes("k") == []
    scene.bad.clear()
    assert await scene.requeue("k") == [("k-1", "applied"), ("k-2", "applied"), ("k-3", "applied")]
    assert await store.parked() == []
    await scene.receive(fourth)
    assert await scene.notes("k") == ["k-1", "k-2", "k-3", "k-4"]
    assert await scene.audits() == [("parked.requeue", f"{STREAM}/k/{each.id}") for each in (first, second, third)]


async def test_it_stops_at_the_first_that_fails_again(store: Store) -> None:
    scene = await Scene.opened(store, "k-1", "k-3")
    sent = events("k", 4)
    await scene.receive(*sent)
    scene.bad.remove("k-1")
    assert await scene.requeue("k") == [("k-1", "applied"), ("k-2", "applied"), ("k-3", "failed")]
    assert await store.parked() == [(3, "poison"), (4, "behind")]
    assert await scene.requeue("k") == [("k-3", "failed")]
    [again] = await scene.look()
    assert (again.attempts, again.detail, again.behind) == (2, "Poison: no hall for k-3", 1)
    assert await scene.notes("k") == ["k-1", "k-2"]
    failed = ("parked.requeue_failed", f"{STREAM}/k/{sent[2].id}")
    assert (await scene.audits())[2:] == [failed, failed]


async def test_an_id_means_the_key_of_its_event(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    sent = events("k", 3)
    await scene.receive(*sent)
    scene.bad.clear()
    last = await scene.shelf().find(sent[2].id)
    assert await scene.requeue(last.id) == [("k-1", "applied"), ("k-2", "applied"), ("k-3", "applied")]


async def test_a_dry_run_changes_nothing_and_says_what_would_happen(store: Store) -> None:
    scene = await Scene.opened(store, "k-1", "k-3")
    woken = asyncio.Event()
    scene.outbox.wakes(woken)
    await scene.receive(*events("k", 4))
    scene.bad.remove("k-1")
    before = await scene.everything()
    assert await scene.rehearse("k") == [("k-1", "applied"), ("k-2", "applied"), ("k-3", "failed")]
    assert await scene.everything() == before
    assert not woken.is_set()
    scene.bad.clear()
    assert [result for _, result in await scene.rehearse("k")] == ["applied"] * 4
    assert await scene.everything() == before
    assert [result for _, result in await scene.requeue("k")] == ["applied"] * 4


async def test_a_later_event_of_a_dry_run_sees_what_an_earlier_one_did(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 2))
    seen = []

    async def counting(conn: Any, envelope: Envelope) -> None:
        await store.write_effect(conn, envelope)
        seen.append(await _count(store, conn))

    scene.handle = counting  # type: ignore[method-assign]
    await scene.rehearse("k")
    assert seen == [1, 2]
    assert await store.effects() == []


async def test_two_requeues_at_once_take_turns(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 12))
    scene.bad.clear()
    both = await asyncio.gather(scene.requeue("k"), scene.requeue("k"))
    assert sorted(note for done in both for note, _ in done) == sorted(f"k-{n}" for n in range(1, 13))
    assert await scene.notes("k") == [f"k-{n}" for n in range(1, 13)]
    assert len(await scene.audits()) == 12


async def test_a_listener_at_work_on_the_same_key_neither_overtakes_nor_loses(store: Store) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    scene = await Scene.opened(store, "k-1")
    sent = events("k", 60)
    await scene.receive(*sent[:20])
    scene.bad.clear()

    async def listen() -> None:
        rest = sent[20:]
        while rest:
            size = rng.randint(1, 3)
            await scene.receive(*rest[:size], event("other"))
            rest = rest[size:]
            await asyncio.sleep(rng.random() * 0.01)

    listening = asyncio.create_task(listen())
    while not listening.done():
        try:
            await scene.requeue("k")
        except NotParked:
            await asyncio.sleep(0.001)
    await listening
    if await store.parked():
        await scene.requeue("k")
    assert keys_in_order(await store.effects())["k"] == [f"k-{n}" for n in range(1, 61)]
    assert await store.parked() == []


async def test_a_requeue_that_ends_between_two_events_is_gone_on_with(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 4))
    scene.bad.clear()
    async with scene.requeuing("k") as outcomes:
        await anext(outcomes)
        await anext(outcomes)
    assert await store.parked() == [(3, "behind"), (4, "behind")]
    await scene.receive(event("k", "k-5"))
    assert await scene.requeue("k") == [("k-3", "applied"), ("k-4", "applied"), ("k-5", "applied")]
    assert await scene.notes("k") == ["k-1", "k-2", "k-3", "k-4", "k-5"]


async def test_a_requeue_that_dies_in_the_middle_of_an_event_has_not_applied_it(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 3))
    scene.bad.clear()
    at_work, go_on = asyncio.Event(), asyncio.Event()
    handle = scene.handle

    async def stuck(conn: Any, envelope: Envelope) -> None:
        await handle(conn, envelope)
        at_work.set()
        await go_on.wait()

    scene.handle = stuck  # type: ignore[method-assign]
    dying = asyncio.create_task(scene.requeue("k"))
    await at_work.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    scene.handle = handle  # type: ignore[method-assign]
    assert await scene.requeue("k") == [("k-1", "applied"), ("k-2", "applied"), ("k-3", "applied")]
    assert await scene.notes("k") == ["k-1", "k-2", "k-3"]


@pytest.mark.parametrize("fault", [Unavailable("away"), Indefinite("no answer"), ConnectionResetError("cut")])
async def test_a_fault_of_the_store_is_nobodys_failure(store: Store, fault: Exception) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 2))

    async def away(_conn: Any, _envelope: Envelope) -> None:
        raise fault

    before = await scene.everything()
    scene.handle = away  # type: ignore[method-assign,assignment]
    with pytest.raises((Unavailable, Indefinite)):
        await scene.requeue("k")
    assert await scene.everything() == before


async def test_a_victim_of_the_store_is_tried_again(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(event("k", "k-1"))
    scene.bad.clear()
    handle = scene.handle
    faults = [Retryable("deadlock"), Retryable("deadlock")]

    async def contended(conn: Any, envelope: Envelope) -> None:
        await handle(conn, envelope)
        if faults:
            raise faults.pop()

    scene.handle = contended  # type: ignore[method-assign]
    assert await scene.requeue("k") == [("k-1", "applied")]
    assert await scene.notes("k") == ["k-1"]


async def test_a_statement_that_the_store_rejects_is_the_events_own_failure(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 2))

    async def wrong(conn: Any, envelope: Envelope) -> None:
        await store.run(conn, "INSERT INTO effects (n, note) VALUES (%s, '')", 1)
        await store.run(conn, "INSERT INTO effects (n, note) VALUES (%s, '')", 1)

    scene.handle = wrong  # type: ignore[method-assign]
    assert await scene.rehearse("k") == [("k-1", "failed")]
    assert await scene.requeue("k") == [("k-1", "failed")]
    assert await store.parked() == [(1, "failed"), (2, "behind")]


async def test_a_handler_that_swallows_the_stores_error_has_failed(store: Store) -> None:
    if store.name == "mariadb":
        pytest.skip("a failed statement does not spoil its transaction there")
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 2))

    async def careless(conn: Any, _envelope: Envelope) -> None:
        with suppress(Exception):
            await store.run(conn, "INSERT INTO nowhere VALUES (1)")

    scene.handle = careless  # type: ignore[method-assign,assignment]
    assert await scene.rehearse("k") == [("k-1", "failed")]
    assert await scene.requeue("k") == [("k-1", "failed")]
    assert await store.parked() == [(1, "failed"), (2, "behind")]


async def test_bytes_that_are_still_no_event_fail_again(store: Store) -> None:
    scene = await Scene.opened(store)
    await scene.receiver.apply(hello(), 1, [b"\xc1"])
    [garbage] = await scene.look()
    [outcome] = [outcome async for outcome in scene.shelf().requeue(garbage, ACTOR)]
    assert (outcome.result, outcome.event.attempts, outcome.event.reason) == ("failed", 1, "undecodable")
    assert await store.parked() == [(1, "undecodable")]


async def test_bytes_that_have_become_an_event_are_applied_once(store: Store) -> None:
    scene = await Scene.opened(store)
    await scene.receive(event("other"))
    late = event("k", "k-1")
    for seq in (5, 6):
        await _park_bytes(store, seq, encode(late))
    one, other = await scene.look()
    assert (one.key, one.behind) == ("", 0)
    assert await scene.requeue(one.id) == [("k-1", "applied")]
    assert await scene.requeue(other.id) == [("k-1", "known")]
    assert await scene.notes("k") == ["k-1"]
    rows = await store.rows("SELECT seq FROM delivery_inbox WHERE event_id = %s", late.id)
    assert [row[0] for row in rows] == [5]


async def test_bytes_that_have_become_an_event_wait_behind_earlier_ones_of_their_key(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    await scene.receive(*events("k", 2))
    await _park_bytes(store, 3, encode(event("k", "k-3")))
    [_, bytes_] = await scene.look()
    assert await scene.requeue(bytes_.id) == [("k-3", "behind")]
    assert await store.parked() == [(1, "poison"), (2, "behind"), (3, "behind")]
    scene.bad.clear()
    assert await scene.requeue("k") == [("k-1", "applied"), ("k-2", "applied"), ("k-3", "applied")]


async def test_an_event_of_a_kind_that_is_no_longer_known_is_ignored(store: Store) -> None:
    scene = await Scene.opened(store, "k-1")
    unknown = msgspec.structs.replace(event("k", "k-2"), kind="hold.dreamt")
    await scene.receive(event("k", "k-1"), unknown)
    scene.bad.clear()
    assert await scene.requeue("k") == [("k-1", "applied"), ("k-2", "ignored")]
    assert await store.parked() == []


async def _park_bytes(store: Store, seq: int, body: bytes) -> None:
    """As an older version would have, that took these bytes for no event."""
    async with store.pool.transaction() as conn:
        row = ParkedRow(seq, None, "", "", body, "undecodable", "not an event", 0)
        await store.dialect.park(conn, STREAM, 1, [row])


async def _count(store: Store, conn: Any) -> int:
    if store.name == "postgres":
        return int(await conn.fetchval("SELECT count(*) FROM effects"))
    async with conn.cursor() as cursor:
        await cursor.execute("SELECT COUNT(*) FROM effects")
        return int((await cursor.fetchone())[0])
