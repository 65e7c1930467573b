"""How the events of one transaction reach their handlers: one by one, or many at once.

Laws:
- Events of one key are handled in their order, each when the one before it has been. Events of different keys have no
  order, so that those of one kind may go to their handler together.
- Whatever raises in a batch is not one event's fault until it has raised for that event alone: see inbox.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from ticketflow.delivery.dialect import ConnT
from ticketflow.events import Envelope

T = TypeVar("T")
Handler = Callable[[ConnT, Envelope], Awaitable[None]]
Prepared = Mapping[str, Any]  # by event id
NOTHING: Prepared = MappingProxyType({})


class Batched(Generic[ConnT]):
    """A handler that takes many events at once. ``many`` gets the connection and envelopes of one kind and of as many
    keys, writes the effects of all of them, and returns; it raises as a handler does, for whichever of them. What it
    stages or logs for one of them it does under that one's correlation.

    ``prepare``: what can be made of an event without the store, such as its decoded payload; then ``many`` gets pairs
    of that and the envelope. It is called once or twice, or for an event that turns out to be known, and raises as a
    handler does.
    """

    def __init__(
        self,
        many: Callable[[ConnT, Sequence[Any]], Awaitable[None]],
        prepare: Callable[[Envelope], Any] | None = None,
    ) -> None:
        self._many = many
        self.prepare = prepare

    async def __call__(self, conn: ConnT, envelope: Envelope) -> None:
        await self.many(conn, [envelope])

    async def many(self, conn: ConnT, envelopes: Sequence[Envelope], prepared: Prepared = NOTHING) -> None:
        prepare = self.prepare
        if prepare is None:
            await self._many(conn, envelopes)
        else:
            await self._many(conn, [(prepared.get(each.id) or prepare(each), each) for each in envelopes])


def prepared(envelopes: Sequence[Envelope], handlers: Mapping[str, Handler[ConnT]]) -> Prepared:
    """What the handlers make of ``envelopes`` beforehand. What they raise is left to be raised in its place."""
    made: dict[str, Any] = {}
    for envelope in envelopes:
        handler = handlers.get(envelope.kind)
        if isinstance(handler, Batched) and handler.prepare is not None:
            with suppress(Exception):
                made[envelope.id] = handler.prepare(envelope)
    return made


async def beside(asked: Coroutine[Any, Any, T], work: Callable[[], Prepared]) -> tuple[T, Prepared]:
    """What the store answers, and what was made meanwhile."""
    answer = asyncio.ensure_future(asked)
    try:
        await asyncio.sleep(0)  # it is sent
        made = work()
    except BaseException:
        answer.cancel()
        await asyncio.wait((answer,))
        raise
    return await answer, made


def together(envelopes: Sequence[Envelope], handlers: Mapping[str, Handler[ConnT]]) -> list[list[Envelope]]:
    """``envelopes``, all of which have a handler, in groups that may be handled one after the other: each of one kind,
    no key twice in it, and the events of a key in their order. Those of a handler that takes one at a time are groups
    of one."""
    rounds: list[dict[str, list[Envelope]]] = []  # the nth events of all keys, by kind
    came: dict[str, int] = {}
    for envelope in envelopes:
        nth = came.get(envelope.key, 0)
        came[envelope.key] = nth + 1
        if nth == len(rounds):
            rounds.append({})
        rounds[nth].setdefault(envelope.kind, []).append(envelope)
    groups: list[list[Envelope]] = []
    for one in rounds:
        for kind, group in one.items():
            if isinstance(handlers[kind], Batched):
                groups.append(group)
            else:
                groups.extend([envelope] for envelope in group)
    return groups
