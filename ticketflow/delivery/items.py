"""Events as they arrive: decoded once, or known to be no events. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from ticketflow.delivery.dialect import ParkedRow, ParkReason
from ticketflow.delivery.errors import Poison
from ticketflow.events import BadEvent, Envelope, decode

DETAIL_CHARS_MAX = 2000


class Item(NamedTuple):
    """One event of a stream. ``envelope`` is None when the body is no event; ``fault`` then says why."""

    seq: int
    body: bytes
    envelope: Envelope | None
    fault: str


class Verdict(NamedTuple):
    """Why an event is parked."""

    reason: ParkReason
    detail: str
    attempts: int


BEHIND = Verdict("behind", "an earlier event of the same key is parked", 0)


def items_of(first_seq: int, bodies: Sequence[bytes]) -> list[Item]:
    """The events of a frame, each with its seq."""
    return [_item(seq, body) for seq, body in enumerate(bodies, first_seq)]


def verdict_on(error: Exception, attempts: int, attempts_max: int) -> Verdict | None:
    """What a failed effect means: parked at once when the event itself says so, else after ``attempts_max`` tries."""
    detail = _detail(f"{type(error).__name__}: {error}")
    if isinstance(error, Poison):
        return Verdict("poison", detail, attempts)
    if isinstance(error, BadEvent):
        return Verdict("undecodable", detail, attempts)
    return Verdict("failed", detail, attempts) if attempts >= attempts_max else None


def parked(item: Item, verdict: Verdict) -> ParkedRow:
    """The row that sets ``item`` aside."""
    envelope = item.envelope
    if envelope is None:
        return ParkedRow(item.seq, None, "", "", item.body, *verdict)
    return ParkedRow(item.seq, envelope.id, envelope.key, envelope.kind, item.body, *verdict)


def _item(seq: int, body: bytes) -> Item:
    try:
        envelope = decode(body)
    except BadEvent as error:
        return Item(seq, body, None, _detail(str(error)))
    if "\0" in envelope.key or "\0" in envelope.kind:  # legal text that Postgres cannot store
        return Item(seq, body, None, "not an event: a NUL in its key or kind")
    return Item(seq, body, envelope, "")


def _detail(text: str) -> str:
    """Text that every store can keep: no NUL, no lone surrogate, not too long."""
    return text[:DETAIL_CHARS_MAX].encode("utf-8", "replace").decode().replace("\0", "?")
