"""How the events of one transaction reach their handlers: one by one, or many at once.

Laws:
- Events of one key are handled in their order, each when the one before it has been. Events of different keys have no
  order, so that those of one kind may go to their handler together.
- Whatever raises in a batch is not one event's fault until it has raised for that event alone: see inbox.py.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic

from ticketflow.delivery.dialect import ConnT
from ticketflow.events import Envelope

Handler = Callable[[ConnT, Envelope], Awaitable[None]]


class Batched(Generic[ConnT]):
    """A handler that takes many events at once. ``many`` gets the connection and envelopes of one kind and of as many
    keys, writes the effects of all of them, and returns; it raises as a handler does, for whichever of them. What it
    stages or logs for one of them it does under that one's correlation."""

    def __init__(self, many: Callable[[ConnT, Sequence[Envelope]], Awaitable[None]]) -> None:
        self.many = many

    async def __call__(self, conn: ConnT, envelope: Envelope) -> None:
        await self.many(conn, [envelope])


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
