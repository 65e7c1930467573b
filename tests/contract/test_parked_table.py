"""What is parked can be looked at, discarded and counted; its dedup key outlives it."""

import base64
import json
from typing import Any

import pytest
from prometheus_client import REGISTRY

from tests.contract.parked import ACTOR, Scene
from tests.contract.receiving import STREAM, hello
from tests.contract.stores import Store, event, events
from ticketflow.delivery import ParkedWatch
from ticketflow.delivery.parking_shelf import NotParked
from ticketflow.events import encode


async def test_a_list_has_the_first_of_each_key_and_how_many_wait_behind(store: Store) -> None:
    scene = await Scene.opened(store, "a-1", "b-1")
    await scene.receive(*events("a", 3), event("free"), *events("b", 1))
    await scene.receiver.apply(hello(), 6, [b"\xc1", b"\xc1"])
    found = await scene.look()
    assert [(one.seq, one.key, one.reason, one.behind) for one in found] == [
        (1, "a", "poison", 2),
        (5, "b", "poison", 0),
        (6, "", "undecodable", 0),
        (7, "", "undecodable", 0),
    ]
    assert [one.behind for one in await scene.look(key="a", every=True)] == [2, 1, 0]
    assert [one.seq for one in await scene.look(every=True, rows_max=3)] == [1, 2, 3]
    assert [one.seq for one in await scene.look(reason="undecodable")] == [6, 7]
    assert await scene.look(reason="behind") == []
    assert await scene.look(stream="elsewhere") == []
    assert 0 <= found[0].age_s < 600
    assert found[0].body == b""


async def test_one_is_found_by_id_event_id_and_key(store: Store) -> None:
    scene = await Scene.opened(store, "a-1")
    first, second = events("a", 2)
    await scene.receive(first, second)
    by_key = await scene.shelf().find("a")
    assert (by_key.event_id, by_key.body, by_key.behind) == (first.id, encode(first), 1)
    assert (await scene.shelf().find(second.id)).seq == 2
    assert (await scene.shelf().find(by_key.id)).event_id == first.id


@pytest.mark.parametrize("target", ["", "0", "-1", "9" * 30, "A", "ключ", "'; --", "%", "0190" * 20])
async def test_what_is_not_parked_is_not_found(store: Store, target: str) -> None:
    scene = await Scene.opened(store, "a-1")
    await scene.receive(event("a", "a-1"))
    await scene.receiver.apply(hello(), 2, [b"\xc1"])
    with pytest.raises(NotParked, match="nothing is parked under"):
        await scene.shelf().find(target)


async def test_what_is_discarded_is_not_applied_when_it_comes_again(store: Store) -> None:
    scene = await Scene.opened(store, "a-1")
    first, second = events("a", 2)
    await scene.receive(first, second)
    await scene.shelf().discard(await scene.shelf().find(first.id), "a test sale", ACTOR)
    assert await store.parked() == [(2, "behind")]
    assert await scene.audits() == [("parked.discard", f"{STREAM}/a/{first.id}")]
    [(detail,)] = await store.rows("SELECT detail FROM delivery_audit")
    said = json.loads(detail)
    assert (said["because"], base64.b64decode(said["body"])) == ("a test sale", encode(first))
    scene.bad.clear()
    await scene.receive(first)
    assert await scene.requeue("a") == [("a-2", "applied")]
    assert await scene.notes("a") == ["a-2"]


async def test_what_is_gone_cannot_be_discarded(store: Store) -> None:
    scene = await Scene.opened(store, "a-1")
    await scene.receive(event("a", "a-1"))
    found = await scene.shelf().find("a")
    await scene.shelf().discard(found, "once", ACTOR)
    with pytest.raises(NotParked):
        await scene.shelf().discard(found, "twice", ACTOR)
    assert len(await scene.audits()) == 1


async def test_another_streams_event_can_be_discarded_but_not_applied(store: Store) -> None:
    scene = await Scene.opened(store, "a-1")
    await scene.receive(event("a", "a-1"))
    await store.do("UPDATE delivery_parked SET stream = 'elsewhere'")
    found = await scene.shelf().find("a")
    with pytest.raises(NotParked, match="of stream elsewhere"):
        await scene.requeue("a")
    await scene.shelf().discard(found, "stranded", ACTOR)
    assert await store.parked() == []


async def test_the_dedup_key_of_a_parked_event_is_not_purged(store: Store) -> None:
    scene = await Scene.opened(store, "a-1")
    parked, applied = event("a", "a-1"), event("b", "b-1")
    await scene.receive(parked, applied)
    past = {"postgres": "now() - interval '99 days'", "mariadb": "UTC_TIMESTAMP(6) - INTERVAL 99 DAY"}[store.name]
    await store.do(f"UPDATE delivery_inbox SET received_at = {past}")
    assert await _purge(store) == 1
    await scene.receive(parked)
    assert await store.parked() == [(1, "poison")]
    scene.bad.clear()
    await scene.requeue("a")
    assert await _purge(store) == 1


async def test_holding_what_is_parked_holds_all_lanes_of_the_stream_and_no_other(store: Store) -> None:
    for stream in ("orders", "orders.1", "orders.63", "orders-2", "orderss", "other"):
        await store.do("INSERT INTO delivery_inbox_stream (stream, epoch, fence) VALUES (%s, 1, 1)", stream)
    dialect: Any = store.dialect
    async with store.pool.transaction() as conn:
        await dialect.hold_parked(conn, "orders")
        async with store.pool.transaction() as beside:
            assert await store.dialect.lock_inbox(beside, "orders-2") is not None
            assert await store.dialect.lock_inbox(beside, "other") is not None
    held = await store.rows("SELECT stream FROM delivery_inbox_stream WHERE requeues = 1 ORDER BY stream")
    assert [row[0] for row in held] == ["orders", "orders.1", "orders.63"]


async def test_what_is_parked_and_handled_is_exported(store: Store) -> None:
    scene = await Scene.opened(store, "a-1", "b-1", "b-2")
    await scene.receive(*events("a", 3), *events("b", 2))
    dialect: Any = store.dialect
    stream = STREAM

    def now(reason: str) -> float | None:
        return REGISTRY.get_sample_value("delivery_parked_events", {"stream": stream, "reason": reason})

    def handled(result: str) -> float:
        labels = {"stream": stream, "result": result}
        return REGISTRY.get_sample_value("delivery_parked_handled_total", labels) or 0.0

    before = {result: handled(result) for result in ("requeued", "failed", "discarded")}
    watch = ParkedWatch(store.pool, dialect, stream)
    assert await watch.run_once() == 0
    assert (now("poison"), now("behind"), now("failed")) == (2, 3, 0)
    await scene.shelf().discard(await scene.shelf().find("a"), "never mind", ACTOR)
    await scene.requeue("a")
    await scene.requeue("b")
    for _ in range(2):
        await watch.run_once()
        assert (now("poison"), now("behind")) == (1, 1)
        done = {result: handled(result) - before[result] for result in before}
        assert done == {"requeued": 2, "failed": 1, "discarded": 1}
    oldest = {"stream": stream, "reason": "poison"}
    assert REGISTRY.get_sample_value("delivery_parked_oldest_seconds", oldest) is not None


async def _purge(store: Store) -> int:
    async with store.pool.transaction() as conn:
        return await store.dialect.purge_inbox(conn, 3600.0, 100)
