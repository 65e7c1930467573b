"""What the commands on parked events can do, whatever table those lie in: the words that shelves and commands share."""

from collections.abc import AsyncIterator
from typing import Literal, NamedTuple, Protocol

import msgspec

from ticketflow.delivery.items import verdict_on
from ticketflow.delivery.parking_dialect import ParkedEvent, Wanted

REHEARSED_MAX = 100  # events of a dry run: it is one transaction, behind which the stream waits

REQUEUED = "parked.requeue"
FAILED_AGAIN = "parked.requeue_failed"
DISCARDED = "parked.discard"
ACTIONS = (REQUEUED, FAILED_AGAIN, DISCARDED)

Result = Literal["applied", "ignored", "known", "behind", "failed"]
"""What became of a parked event.

applied: its effect is committed; ignored: a kind this version does not know; known: it had been applied by another way;
behind: it turned out to be of a key of which an earlier event is parked; failed: its effect raised again, it stays.
"""
STAYS: frozenset[Result] = frozenset({"behind", "failed"})


class Outcome(NamedTuple):
    """What a requeue did with ``event`` (as it stands now, or stood last), or a dry run would do."""

    event: ParkedEvent
    result: Result
    detail: str = ""


class NotParked(Exception):
    """There is no such parked event, or no longer."""


class Shelf(Protocol):
    """The parked events of one service. All methods raise NotParked, Unavailable, Indefinite."""

    async def look(self, wanted: Wanted) -> list[ParkedEvent]: ...

    async def find(self, target: str) -> ParkedEvent:
        """By id, event id or key; of a key the first. With its body."""
        ...

    def requeue(self, event: ParkedEvent, actor: str) -> AsyncIterator[Outcome]:
        """Apply all parked events of the key of ``event``, in order, each in a transaction of its own, until one fails
        again. What is yielded has been committed."""
        ...

    async def rehearse(self, event: ParkedEvent) -> list[Outcome]:
        """What ``requeue`` would do, REHEARSED_MAX events of it at most. Nothing is changed."""
        ...

    async def discard(self, event: ParkedEvent, reason: str, actor: str) -> None:
        """Remove this one event for good. Its dedup key stays, its bytes are kept in the audit row."""
        ...


def subject_of(event: ParkedEvent) -> str:
    """How an audit row names it."""
    return f"{event.stream}/{event.key or '-'}/{event.event_id or '-'}"


def note_of(event: ParkedEvent, **more: object) -> str:
    """The detail of an audit row, as JSON; bytes are base64."""
    known = {name: getattr(event, name) for name in ("id", "epoch", "seq", "kind", "reason", "attempts")}
    return msgspec.json.encode(known | more).decode()


def after_failure(event: ParkedEvent, error: Exception) -> ParkedEvent:
    """The event after one more attempt, which raised ``error``."""
    verdict = verdict_on(error, event.attempts + 1, attempts_max=0)
    assert verdict is not None
    return event._replace(reason=verdict.reason, detail=verdict.detail, attempts=verdict.attempts)
