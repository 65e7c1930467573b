"""Events whose effect cannot be applied are set aside; the rest of the stream goes on."""

from collections.abc import Callable
from typing import Any

from tests.contract.receiving import bodies, greeted, hello, watermark
from tests.contract.stores import Store, event, events, note
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


async def test_every_event_of_a_batch_may_be_bad(store: Store) -> None:
    handler = failing(store, BadEvent("hold.released: no hold_id"), lambda text: True)
    receiver = await greeted(store, handler)
    assert await receiver.apply(hello(), 1, bodies([event(key) for key in "abc"])) == 3
    assert await store.parked() == [(1, "undecodable"), (2, "undecodable"), (3, "undecodable")]
    assert await store.effects() == []


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
