"""Parked events by hand: a handler whose mood can change, and a shelf over the same tables."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from tests.contract.receiving import STREAM, bodies, greeted, hello
from tests.contract.stores import Store, event, note
from ticketflow.delivery import Inbox, Outbox, Parking, Poison
from ticketflow.delivery.parking_dialect import ParkedEvent, Wanted
from ticketflow.delivery.parking_shelf import Outcome
from ticketflow.events import Envelope, HoldReleased, decode

ACTOR = "ada @ desk"
OUT = "answers"  # what the handler stages for others
TABLES = {
    "delivery_inbox": "event_id",
    "delivery_inbox_stream": "stream",
    "delivery_parked": "position",
    "delivery_outbox": "position",
    "delivery_stream": "stream",
    "delivery_audit": "id",
    "effects": "n",
}


class Scene:
    """One inbox and one shelf over ``store``. The notes in ``bad`` are poison, until they are taken out of it."""

    def __init__(self, store: Store, *bad: str) -> None:
        self.store = store
        self.bad = set(bad)
        self.outbox: Outbox[Any] = Outbox(store.dialect, OUT)
        self.tries = 0
        self.receiver: Inbox[Any]
        self.sent = 0

    @classmethod
    async def opened(cls, store: Store, *bad: str) -> "Scene":
        scene = cls(store, *bad)
        scene.receiver = await greeted(store, scene.handle)
        return scene

    async def handle(self, conn: Any, envelope: Envelope) -> None:
        """Writes, stages, and only then finds out."""
        self.tries += 1
        await self.store.write_effect(conn, envelope)
        await self.outbox.stage(conn, [_answer(envelope)])
        if note(envelope) in self.bad:
            raise Poison(f"no hall for {note(envelope)}")

    async def receive(self, *events: Envelope) -> None:
        """The next events of the stream, in one frame."""
        first = self.sent + 1
        self.sent += len(events)
        assert await self.receiver.apply(hello(), first, bodies(events)) == self.sent

    def shelf(self) -> Parking[Any]:
        handlers = {HoldReleased.kind: self.handle}
        dialect: Any = self.store.dialect
        return Parking(self.store.pool, dialect, stream=STREAM, handlers=handlers, outboxes=[OUT])

    async def requeue(self, target: str, shelf: Parking[Any] | None = None) -> list[tuple[str, str]]:
        """(id, result) of each event."""
        shelf = shelf or self.shelf()
        found = await shelf.find(target)
        return [_short(outcome) async for outcome in shelf.requeue(found, ACTOR)]

    async def rehearse(self, target: str) -> list[tuple[str, str]]:
        return [_short(outcome) for outcome in await self.shelf().rehearse(await self.shelf().find(target))]

    @asynccontextmanager
    async def requeuing(self, target: str) -> AsyncIterator[Any]:
        """A requeue, event by event: ``anext`` does one."""
        shelf = self.shelf()
        async with aclosing(shelf.requeue(await shelf.find(target), ACTOR)) as outcomes:  # type: ignore[type-var]
            yield outcomes

    async def look(self, **wanted: Any) -> list[ParkedEvent]:
        return await self.shelf().look(Wanted(**wanted))

    async def audits(self) -> list[tuple[str, str]]:
        """(action, subject), in order."""
        rows = await self.store.rows("SELECT actor, action, subject FROM delivery_audit ORDER BY id")
        assert {row[0] for row in rows} <= {ACTOR}
        return [(row[1], row[2]) for row in rows]

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables."""
        return {
            table: await self.store.rows(f"SELECT * FROM {table} ORDER BY {order}") for table, order in TABLES.items()
        }

    async def notes(self, key: str) -> list[str]:
        return [text for at, text in await self.store.effects() if at == key]


def _answer(envelope: Envelope) -> Envelope:
    return event(envelope.key, f"answer to {note(envelope)}")


def _short(outcome: Outcome) -> tuple[str, str]:
    return note(decode(outcome.event.body)), outcome.result
