"""Which events go to their handler together, and in which order."""

import asyncio
import random
from typing import Any

import pytest

from ticketflow.delivery import Batched, Handler
from ticketflow.delivery.effects import beside, together
from ticketflow.events import Envelope, HoldExpired, HoldReleased, Payload, envelope_for


async def _nothing(_conn: Any, _what: Any) -> None:
    return


HANDLERS: dict[str, Handler[Any]] = {HoldReleased.kind: Batched(_nothing), HoldExpired.kind: _nothing}


def released(key: str) -> Envelope:
    return _event(HoldReleased(hold_id=key), key)


def expired(key: str) -> Envelope:
    return _event(HoldExpired(hold_id=key), key)


def _event(payload: Payload, key: str) -> Envelope:
    return envelope_for(payload, key=key, correlation_id="test")


def test_events_of_different_keys_and_one_kind_go_together() -> None:
    events = [released(key) for key in "abc"]
    assert together(events, HANDLERS) == [events]


def test_the_second_event_of_a_key_goes_after_the_first() -> None:
    first, other, second = released("a"), released("b"), released("a")
    assert together([first, other, second], HANDLERS) == [[first, other], [second]]


def test_who_takes_one_at_a_time_gets_one_at_a_time() -> None:
    events = [expired("a"), expired("b")]
    assert together(events, HANDLERS) == [[events[0]], [events[1]]]


def test_kinds_are_apart() -> None:
    a, b, c = released("a"), expired("b"), released("c")
    assert together([a, b, c], HANDLERS) == [[a, c], [b]]


@pytest.mark.parametrize("seed", range(5))
def test_every_event_is_handled_once_and_the_events_of_a_key_in_their_order(seed: int) -> None:
    chance = random.Random(seed)
    events = [chance.choice([released, expired])(chance.choice("abcdefgh")) for _ in range(200)]
    groups = together(events, HANDLERS)
    for group in groups:
        assert len({event.kind for event in group}) == 1
        assert len({event.key for event in group}) == len(group)
    for key in "abcdefgh":
        handled = [event.id for group in groups for event in group if event.key == key]
        assert handled == [event.id for event in events if event.key == key]


async def test_what_can_be_prepared_is_prepared_while_the_store_is_asked() -> None:
    said: list[str] = []
    answered = asyncio.Event()

    async def ask() -> str:
        said.append("asked")
        await answered.wait()
        said.append("answered")
        return "new"

    def prepare() -> dict[str, str]:
        said.append("prepared")
        answered.set()
        return {"an event": "its row"}

    assert await beside(ask(), prepare) == ("new", {"an event": "its row"})
    assert said == ["asked", "prepared", "answered"]


async def test_who_is_cancelled_meanwhile_leaves_nothing_under_way() -> None:
    ended = asyncio.Event()

    async def ask() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(beside(ask(), dict))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
