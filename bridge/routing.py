"""Where an event goes: its bytes in, exchange, routing key and headers out.

Laws of this file:
- Total: every sequence of bytes has a route. What is no event, or is named so that no routing key can be made of it,
  goes to ``undecodable``, and the consumer parks it: the bridge drops nothing and stores nothing.
- The body is never changed, not even re-encoded.
- Pure: no broker, no clock. What is unique to an attempt (the message id) is none of its business.
"""

import re
from typing import NamedTuple

from ticketflow.events import BadEvent, decode
from ticketflow.events.topology import EVENTS_EXCHANGE, UNDECODABLE

REASON_CHARS_MAX = 200
_WORDS = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")  # a routing key is words with dots between


class Route(NamedTuple):
    exchange: str
    routing_key: str
    headers: dict[str, str | int]


def route(body: bytes, *, stream: str, epoch: int, seq: int) -> Route:
    """The route of one event. ``headers`` repeat what a consumer or an operator wants to know without decoding."""
    position: dict[str, str | int] = {"stream": stream, "epoch": epoch, "seq": seq}
    try:
        event = decode(body)
    except BadEvent as error:
        return Route(EVENTS_EXCHANGE, UNDECODABLE, position | {"reason": str(error)[:REASON_CHARS_MAX]})
    headers = position | {
        "event_id": event.id,
        "key": event.key,
        "version": event.version,
        "correlation_id": event.correlation_id,
    }
    if event.traceparent is not None:
        headers["traceparent"] = event.traceparent
    if _WORDS.fullmatch(event.kind) is None:
        return Route(EVENTS_EXCHANGE, UNDECODABLE, headers | {"reason": "its kind is no routing key"})
    return Route(EVENTS_EXCHANGE, event.kind, headers)
