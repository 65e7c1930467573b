"""Parked events, and a shelf of them in memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ticketflow.delivery.parking_dialect import ParkedEvent, Wanted
from ticketflow.delivery.parking_shelf import NotParked, Outcome, Shelf
from ticketflow.events import HoldReleased, encode, envelope_for


def parked(**fields: Any) -> ParkedEvent:
    """A poison event of the key k, unless ``fields`` say otherwise."""
    event = ParkedEvent(
        id="7",
        stream="orders",
        epoch=1,
        seq=41,
        event_id="0190-e",
        key="k",
        kind="hold.released",
        reason="poison",
        detail="Poison: no such hall",
        attempts=1,
        age_s=200.0,
        behind=2,
        body=encode(envelope_for(HoldReleased(hold_id="k"), key="k", correlation_id="c-1")),
    )
    return event._replace(**fields)


class FakeShelf:
    """Remembers what it was asked to do. ``outcomes``: what a requeue of each id gives."""

    def __init__(self, events: Sequence[ParkedEvent] = (), outcomes: Sequence[Outcome] = ()) -> None:
        self.events = list(events)
        self.outcomes = list(outcomes)
        self.done: list[tuple[str, ...]] = []
        self.wanted: Wanted | None = None
        self.fault: Exception | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Shelf]:
        if self.fault is not None:
            raise self.fault
        yield self

    async def look(self, wanted: Wanted) -> list[ParkedEvent]:
        self.wanted = wanted
        return [event._replace(body=b"") for event in self.events][: wanted.rows_max]

    async def find(self, target: str) -> ParkedEvent:
        for event in self.events:
            if target in (event.id, event.event_id, event.key):
                return event
        raise NotParked(f"nothing is parked under {target!r}")

    async def requeue(self, event: ParkedEvent, actor: str) -> AsyncIterator[Outcome]:
        self.done.append(("requeue", event.id, actor))
        for outcome in self.outcomes:
            yield outcome

    async def rehearse(self, event: ParkedEvent) -> list[Outcome]:
        self.done.append(("rehearse", event.id))
        return self.outcomes

    async def discard(self, event: ParkedEvent, reason: str, actor: str) -> None:
        self.done.append(("discard", event.id, reason, actor))
