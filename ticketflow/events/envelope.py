"""The envelope round every event, and its one encoding: a msgpack map.

A receiver must live with kinds it does not know (``payload_of`` gives None) and with versions newer than its own
(fields it does not know are dropped, since fields are only ever added).
"""

import time

import msgspec

from ticketflow.events.ids import is_id, new_id
from ticketflow.events.kinds import PAYLOADS, Payload

KIND_CHARS_MAX = 64
KEY_CHARS_MAX = 64
CORRELATION_ID_CHARS_MAX = 64
TRACEPARENT_CHARS_MAX = 64  # version 00 has 55
VERSION_MAX = 65535  # what carries an event on, such as AMQP's headers, has no room for msgpack's largest integers
OCCURRED_AT_US_MAX = 253_402_300_799_999_999  # the end of the year 9999: no store and no calendar goes further
EVENT_BYTES_MAX = 64 * 1024  # so that a frame of 256 KiB always has room for at least three


class BadEvent(ValueError):
    """The bytes are no event, or its payload does not have the shape of its kind. The message says where."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One event. ``id`` is its dedup key; ``key`` names the aggregate whose events keep their order."""

    id: str
    kind: str
    version: int
    key: str
    occurred_at_us: int
    correlation_id: str
    payload: msgspec.Raw
    traceparent: str | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)
_payload_decoders = {kind: msgspec.msgpack.Decoder(payload) for kind, payload in PAYLOADS.items()}


def envelope_for(
    payload: Payload, *, key: str, correlation_id: str, traceparent: str | None = None, now_us: int | None = None
) -> Envelope:
    """A new event that carries ``payload``, with a fresh id and the present time unless ``now_us`` is given."""
    return Envelope(
        id=new_id(),
        kind=payload.kind,
        version=payload.version,
        key=key,
        occurred_at_us=time.time_ns() // 1000 if now_us is None else now_us,
        correlation_id=correlation_id,
        traceparent=traceparent,
        payload=msgspec.Raw(_encoder.encode(payload)),
    )


def encode(envelope: Envelope) -> bytes:
    """The event's bytes. Raises BadEvent when it is larger than EVENT_BYTES_MAX."""
    body = _encoder.encode(envelope)
    if len(body) > EVENT_BYTES_MAX:
        raise BadEvent(
            f"event {envelope.kind} {envelope.id} has {len(body)} bytes; at most {EVENT_BYTES_MAX} are allowed"
        )
    return body


def decode(body: bytes | memoryview) -> Envelope:
    """The envelope in ``body``; its payload stays raw. Raises BadEvent."""
    try:
        envelope = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadEvent(f"not an event: {error}") from error
    if not is_id(envelope.id):
        raise BadEvent("not an event: `id` is no UUIDv7")
    for name, text, most in (
        ("kind", envelope.kind, KIND_CHARS_MAX),
        ("key", envelope.key, KEY_CHARS_MAX),
        ("correlation_id", envelope.correlation_id, CORRELATION_ID_CHARS_MAX),
    ):
        if not 1 <= len(text) <= most:
            raise BadEvent(f"not an event: `{name}` has {len(text)} characters; 1 to {most} are allowed")
    if envelope.traceparent is not None and len(envelope.traceparent) > TRACEPARENT_CHARS_MAX:
        raise BadEvent(f"not an event: `traceparent` has more than {TRACEPARENT_CHARS_MAX} characters")
    for name, number, low, high in (
        ("version", envelope.version, 1, VERSION_MAX),
        ("occurred_at_us", envelope.occurred_at_us, 0, OCCURRED_AT_US_MAX),
    ):
        if not low <= number <= high:
            raise BadEvent(f"not an event: `{name}` is {number}; {low} to {high} are allowed")
    return envelope


def payload_of(envelope: Envelope) -> Payload | None:
    """The typed payload; None for a kind that this version does not know. Raises BadEvent."""
    decoder = _payload_decoders.get(envelope.kind)
    if decoder is None:
        return None
    try:
        return decoder.decode(envelope.payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadEvent(f"{envelope.kind} version {envelope.version}: {error}") from error
