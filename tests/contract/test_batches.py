"""A handler that takes many events at once: the same in effect as one by one, whatever fails."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.contract.receiving import PEER, STREAM, bodies, hello, watermark
from tests.contract.stores import Store, event, events, keys_in_order, note
from ticketflow.delivery import Batched, Inbox, Poison
from ticketflow.delivery.inbox import BATCHES_FAILED_MAX
from ticketflow.events import Envelope, HoldReleased

Fails = Callable[[str], Exception | None]


class Many:
    """A batched handler of ``store``: writes the effects of all, or raises what ``fails`` says of the first culprit."""

    prepares = False

    def __init__(self, store: Store, fails: Fails = lambda _text: None) -> None:
        self.sizes: list[int] = []
        self._store = store
        self._fails = fails
        prepared = Batched[Any](self._write_prepared, note)
        self.handler = prepared if Many.prepares else Batched[Any](self._write)

    async def _write_prepared(self, conn: Any, pairs: Sequence[tuple[str, Envelope]]) -> None:
        assert [text for text, _ in pairs] == [note(envelope) for _, envelope in pairs]
        await self._write(conn, [envelope for _, envelope in pairs])

    async def _write(self, conn: Any, envelopes: Sequence[Envelope]) -> None:
        self.sizes.append(len(envelopes))
        assert len({envelope.key for envelope in envelopes}) == len(envelopes)
        for envelope in envelopes:
            await self._store.write_effect(conn, envelope)
        for envelope in envelopes:
            if (error := self._fails(note(envelope))) is not None:
                raise error


@pytest.fixture(params=[False, True], ids=["unprepared", "prepared"], autouse=True)
def _prepares(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Many, "prepares", request.param)


async def receiver_of(store: Store, many: Many) -> Inbox[Any]:
    receiver = Inbox(store.pool, store.dialect, stream=STREAM, handlers={HoldReleased.kind: many.handler})
    await receiver.hello(hello(), PEER)
    return receiver


def poison(*texts: str) -> Fails:
    return lambda text: Poison("never") if text in texts else None


async def test_what_queues_up_goes_to_its_handler_at_once(store: Store) -> None:
    many = Many(store)
    receiver = await receiver_of(store, many)
    assert await receiver.apply(hello(), 1, bodies([event(f"k{n}") for n in range(50)])) == 50
    assert many.sizes == [50]
    assert len(await store.effects()) == 50


async def test_the_events_of_a_key_keep_their_order(store: Store) -> None:
    many = Many(store)
    receiver = await receiver_of(store, many)
    sent = [one for pair in zip(events("a", 3), events("b", 3), strict=True) for one in pair]
    await receiver.apply(hello(), 1, bodies(sent))
    assert many.sizes == [2, 2, 2]
    assert keys_in_order(await store.effects()) == {"a": ["a-1", "a-2", "a-3"], "b": ["b-1", "b-2", "b-3"]}


async def test_duplicates_in_a_batch_have_one_effect(store: Store) -> None:
    many = Many(store)
    receiver = await receiver_of(store, many)
    a, b = event("a"), event("b")
    assert await receiver.apply(hello(), 1, bodies([a, b, a])) == 3
    assert await receiver.apply(hello(), 4, bodies([b, event("c"), a])) == 6
    assert sorted(await store.effects()) == [("a", "a"), ("b", "b"), ("c", "c")]


async def test_of_a_batch_only_the_culprit_is_parked_and_what_is_behind_it(store: Store) -> None:
    many = Many(store, poison("k7"))
    receiver = await receiver_of(store, many)
    sent = [event(f"k{n}") for n in range(20)] + [event("k7", "later")]
    assert await receiver.apply(hello(), 1, bodies(sent)) == 21
    assert await store.parked() == [(8, "poison"), (21, "behind")]
    assert sorted(key for key, _ in await store.effects()) == sorted(f"k{n}" for n in range(20) if n != 7)
    assert many.sizes[0] == 20, "all at once to begin with"
    assert 12 in many.sizes, "and what comes after the culprit again"


async def test_a_fault_that_passes_costs_nobody_his_event(store: Store) -> None:
    left = [1]

    def once(_text: str) -> Exception | None:
        return RuntimeError("a passing fault") if left and left.pop() else None

    receiver = await receiver_of(store, Many(store, once))
    assert await receiver.apply(hello(), 1, bodies([event(f"k{n}") for n in range(10)])) == 10
    assert len(await store.effects()) == 10
    assert await store.parked() == []


async def test_when_batches_keep_failing_their_events_go_one_by_one(store: Store) -> None:
    bad = [f"k{n}" for n in range(0, 30, 3)]
    many = Many(store, poison(*bad))
    receiver = await receiver_of(store, many)
    assert await receiver.apply(hello(), 1, bodies([event(f"k{n}") for n in range(30)])) == 30
    assert [seq for seq, _ in await store.parked()] == [int(key[1:]) + 1 for key in bad]
    assert len(await store.effects()) == 20
    assert sum(size > 2 for size in many.sizes) == BATCHES_FAILED_MAX, "those that failed"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_in_effect_a_batch_is_the_same_as_one_by_one(store: Store, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    keys = [f"k{n}" for n in range(12)]
    sent = [event(chance.choice(keys), f"{n}") for n in range(80)]
    sent += chance.sample(sent, 5)
    bad = {note(one) for one in chance.sample(sent, 4)}
    receiver = await receiver_of(store, Many(store, poison(*bad)))
    at = 0
    while at < len(sent):
        size = chance.randint(1, 30)
        await receiver.apply(hello(), at + 1, bodies(sent[at : at + size]))
        at += size
    expected: dict[str, list[str]] = {}
    blocked: set[str] = set()
    parked = []
    seen: set[str] = set()
    for seq, one in enumerate(sent, 1):
        if one.id in seen:
            continue
        seen.add(one.id)
        if one.key in blocked or note(one) in bad:
            parked.append((seq, "behind" if one.key in blocked else "poison"))
            blocked.add(one.key)
        else:
            expected.setdefault(one.key, []).append(note(one))
    assert keys_in_order(await store.effects()) == expected
    assert await store.parked() == parked
    assert await watermark(receiver) == len(sent)


async def test_what_cannot_be_prepared_is_parked_and_the_others_flow(store: Store) -> None:
    many = Many(store)

    def prepare(envelope: Envelope) -> str:
        if note(envelope) == "b":
            raise Poison("never")
        return note(envelope)

    many.handler = Batched(many._write_prepared, prepare)
    receiver = await receiver_of(store, many)
    assert await receiver.apply(hello(), 1, bodies([event(key) for key in "abc"])) == 3
    assert sorted(await store.effects()) == [("a", "a"), ("c", "c")]
    assert await store.parked() == [(2, "poison")]


async def test_what_is_known_is_not_handled_though_it_was_prepared(store: Store) -> None:
    many = Many(store)
    receiver = await receiver_of(store, many)
    known, new = event("a"), event("b")
    await receiver.apply(hello(), 1, bodies([known]))
    assert await receiver.apply(hello(), 2, bodies([known, new])) == 3
    assert sorted(await store.effects()) == [("a", "a"), ("b", "b")]
