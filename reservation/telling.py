"""hold.placed as it is told by the statement that places the hold: its bytes, as far as they are known beforehand.

An event (ticketflow/events/envelope.py) is a msgpack map, and so is its payload; a map's pairs may come in any order.
What is known before the decision is written here; the rest is appended, byte after byte, by decide_and_tell
(schema/0009):

    here       a map of 8: id, kind, version, key, correlation_id, traceparent,
               payload: a map of 10: hold_id, event_id, buyer_id,
    appended   event_name, currency, total_minor, lines, placed_at_us, expires_at_us, grace_s;
               occurred_at_us
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ticketflow.events import HoldPlaced, new_id
from ticketflow.runtime.correlation import Correlation

ENVELOPE_PAIRS = 8
PAYLOAD_PAIRS = 10
_MAP = 0x80  # of up to fifteen pairs, in one byte

_encoder = msgspec.msgpack.Encoder()


class Telling(NamedTuple):
    """``event_id``: the dedup key. ``head``: the first half of its bytes."""

    event_id: str
    head: bytes


def telling(hold_id: str, event_id: str, buyer_id: str, correlation: Correlation) -> Telling:
    """What tells of this hold, should it be placed."""
    dedup = new_id()
    envelope = {
        "id": dedup,
        "kind": HoldPlaced.kind,
        "version": HoldPlaced.version,
        "key": hold_id,
        "correlation_id": correlation.id,
        "traceparent": correlation.traceparent,
    }
    payload = {"hold_id": hold_id, "event_id": event_id, "buyer_id": buyer_id}
    head = bytes([_MAP | ENVELOPE_PAIRS]) + _pairs(envelope) + _encoder.encode("payload")
    return Telling(dedup, head + bytes([_MAP | PAYLOAD_PAIRS]) + _pairs(payload))


def _pairs(items: Mapping[str, object]) -> bytes:
    """As in a map, without its first byte, which counts them."""
    return _encoder.encode(items)[1:]
