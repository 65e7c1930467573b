"""The events of the simulation: each leaves a mark, its number, in the aggregates of both sides.

Barriers, which delivery makes itself, have numbers too, and no effect: their marks are in no aggregate.
"""

from typing import Any

from ticketflow.events import Envelope, HoldReleased, envelope_for, payload_of


def mark_of(event: Envelope) -> str:
    """What the event leaves behind in the aggregates of both sides."""
    payload = payload_of(event)
    assert isinstance(payload, HoldReleased)
    return payload.hold_id


def mark_of_id(event_id: str) -> str:
    """The mark of the event with this id."""
    return f"{'|' if event_id[19] == '9' else '#'}{int(event_id[-12:])}"


def event_of(key: str, number: int) -> Envelope:
    """The event with this number: no clock and no chance is in its bytes."""
    made = envelope_for(HoldReleased(hold_id=f"#{number}"), key=key, correlation_id="c", now_us=number)
    return _with(made, id=f"00000000-0000-7000-8000-{number:012d}")


def barrier_of(made: Envelope, number: int) -> Envelope:
    """The same barrier without clock and chance."""
    event_id = f"00000000-0000-7000-9000-{number:012d}"
    return _with(made, id=event_id, correlation_id=event_id, occurred_at_us=number)


def _with(made: Envelope, **changes: object) -> Envelope:
    fields: dict[str, Any] = {name: getattr(made, name) for name in made.__struct_fields__}
    return Envelope(**{**fields, **changes})
