"""Events whose effect cannot be applied are set aside; the rest of the stream goes on."""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.contract.receiving import bodies, greeted, hello, watermark
from tests.contract.stores import Store, event, events, keys_in_order, note
from ticketflow.delivery import Poison
from ticketflow.events import BadEvent, Envelope
from ticketflow.runtime.log import current_correlation


def failing(store: Store, error: Exception, is_bad: Callable[[str], bool]) -> Any:
    """A handler that writes its effect and then raises, for the events whose note ``is_bad``; ``.calls`` counts."""

    async def handler(conn: Any, envelope: Envelope) -> None:
        await store.write_effect(conn, envelope)
        if is_bad(note(envelope)):
            handler.calls += 1  # type: ignore[attr-defined]
            raise error

    handler.calls = 0  # type: ignore[attr-defined]
    return handler


async def test_poison_is_parked_others_flow_and_its_key_waits(store: Store) -> None:
    handler = failing(store, Poison("no such hall"), lambda text: text == "bad-1")
    receiver = await greeted(store, handler)
    bad, good = events("bad", 2), events("good", 2)
    assert await receiver.apply(hello(), 1, bodies([good[0], bad[0], bad[1], good[1]])) == 4
    assert await store.effects() == [("good", "good-1"), ("good", "good-2")]
    assert await store.parked() == [(2, "poison"), (3, "behind")]
    rows = await store.rows("SELECT event_key, kind, detail, attempts FROM delivery_parked ORDER BY position")
    assert rows[0] == ("bad", "hold.released", "Poison: no such hall", 1)
    assert await receiver.apply(hello(), 5, bodies([event("bad", "bad-3"), event("good", "good-3")])) == 6
    assert (await store.parked())[-1] == (5, "behind")
    assert (await store.effects())[-1] == ("good", "good-3")


async def test_a_bug_is_tried_three_times_alone_and_then_parked(store: Store) -> None:
    handler = failing(store, KeyError("seat"), lambda text: text == "b-1")
    receiver = await greeted(store, handler)
    sent = [*events("a", 3), *events("b", 2), *events("c", 3)]
    assert await receiver.apply(hello(), 1, bodies(sent)) == 8
    assert await store.parked() == [(4, "failed"), (5, "behind")]
    assert [text for _, text in await store.effects()] == ["a-1", "a-2", "a-3", "c-1", "c-2", "c-3"]
    assert handler.calls == 5  # with the whole batch, with what the split left of it, then three times alone


async def test_a_bug_that_passes_is_not_parked(store: Store) -> None:
    handler = failing(store, KeyError("seat"), lambda text: text == "a-2" and handler.calls < 3)
    receiver = await greeted(store, handler)
    assert await receiver.apply(hello(), 1, bodies(events("a", 3))) == 3
    assert [text for _, text in await store.effects()] == ["a-1", "a-2", "a-3"]
    assert await store.parked() == []


async def test_a_statement_that_the_store_rejects_is_the_events_own_fault(store: Store) -> None:
    async def handler(conn: Any, envelope: Envelope) -> None:
        if note(envelope) == "a-1":
            await store.run(conn, "INSERT INTO effects (n, note) VALUES (%s, '')", 1)
            await store.run(conn, "INSERT INTO effects (n, note) VALUES (%s, '')", 1)
        await store.write_effect(conn, envelope)

    receiver = await greeted(store, handler)
    assert await receiver.apply(hello(), 1, bodies([event("a", "a-1"), event("b", "b-1")])) == 2
    assert await store.parked() == [(1, "failed")]
    assert await store.effects() == [("b", "b-1")]


async def test_a_handler_that_swallows_the_stores_error_holds_up_nobody_else(store: Store) -> None:
    """In Postgres the transaction is spoilt, which shows at the next statement, of whomever; MariaDB goes on."""

    async def handler(conn: Any, envelope: Envelope) -> None:
        if note(envelope) == "b-1":
            for _ in range(2):
                with suppress(Exception):
                    await store.run(conn, "INSERT INTO effects (n, note) VALUES (%s, '')", 777)
        else:
            await store.write_effect(conn, envelope)

    receiver = await greeted(store, handler)
    sent = [event("a", "a-1"), event("b", "b-1"), event("c", "c-1")]
    assert await receiver.apply(hello(), 1, bodies(sent)) == 3
    assert await store.parked() == ([(2, "failed")] if store.name == "postgres" else [])
    assert {key for key, _ in await store.effects()} >= {"a", "c"}
    assert await receiver.apply(hello(), 4, bodies([event("b", "b-2"), event("a", "a-2")])) == 5
    assert ("a", "a-2") in await store.effects()


async def test_every_event_of_a_batch_may_be_bad(store: Store) -> None:
    handler = failing(store, BadEvent("hold.released: no hold_id"), lambda text: True)
    receiver = await greeted(store, handler)
    assert await receiver.apply(hello(), 1, bodies([event(key) for key in "abc"])) == 3
    assert await store.parked() == [(1, "undecodable"), (2, "undecodable"), (3, "undecodable")]
    assert await store.effects() == []


async def test_many_keys_each_wait_behind_their_own(store: Store) -> None:
    """Any mixture, any batches: what follows a bad event of its key waits, in order; all else is applied, in order."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    keys = [f"k{n}" for n in range(6)]
    per_key = {key: events(key, 8) for key in keys}
    first_bad = {key: rng.choice([None, *range(1, 9)]) for key in keys}
    bad = {f"{key}-{n}" for key, n in first_bad.items() if n is not None}
    queues = {key: list(sent) for key, sent in per_key.items()}
    order = []
    while queues:
        key = rng.choice(sorted(queues))
        order.append(queues[key].pop(0))
        if not queues[key]:
            del queues[key]
    receiver = await greeted(store, failing(store, Poison("never"), lambda text: text in bad))
    at = 0
    while at < len(order):
        size = rng.randint(1, 10)
        batch = order[at : at + size]
        assert await receiver.apply(hello(), at + 1, bodies(batch)) == at + len(batch)
        at += len(batch)
    applied = keys_in_order(await store.effects())
    rows = await store.rows("SELECT event_key, event_id, reason FROM delivery_parked ORDER BY position")
    for key in keys:
        n = first_bad[key] or 9
        assert applied.get(key, []) == [f"{key}-{m}" for m in range(1, n)]
        waiting = [(str(row[1]), row[2]) for row in rows if row[0] == key]
        assert [event_id for event_id, _ in waiting] == [one.id for one in per_key[key][n - 1 :]]
        assert [reason for _, reason in waiting] == (["poison"] + ["behind"] * 7)[: len(waiting)]


async def test_bytes_that_are_no_event_are_parked_as_they_came(store: Store) -> None:
    receiver = await greeted(store)
    nul = bodies([event("nul")])[0].replace(b"\xa3key\xa3nul", b"\xa3key\xa3n\x00l")
    garbage = [b"\x00\xff'\\", b"\xc1", nul]
    assert await receiver.apply(hello(), 1, [*garbage, *bodies([event("a", "a-1")])]) == 4
    assert await store.effects() == [("a", "a-1")]
    assert await store.parked() == [(1, "undecodable"), (2, "undecodable"), (3, "undecodable")]
    rows = await store.rows("SELECT event_id, event_key, body FROM delivery_parked ORDER BY position")
    assert [(row[0], row[1], bytes(row[2])) for row in rows] == [(None, "", body) for body in garbage]


async def test_a_parked_event_that_comes_again_is_dropped(store: Store) -> None:
    handler = failing(store, Poison("never"), lambda text: text == "bad")
    receiver = await greeted(store, handler)
    bad = event("k", "bad")
    await receiver.apply(hello(), 1, bodies([bad]))
    assert await receiver.apply(hello(), 2, bodies([bad])) == 2
    assert await store.parked() == [(1, "poison")]
    assert await watermark(receiver) == 2


async def test_a_handler_runs_under_the_correlation_of_its_event(store: Store) -> None:
    seen = []

    async def handler(_conn: Any, _envelope: Envelope) -> None:
        seen.append(current_correlation().id)

    receiver = await greeted(store, handler)
    await receiver.apply(hello(), 1, bodies([event("a")]))
    assert seen == ["test"]
