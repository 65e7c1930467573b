"""What a message means to the portal: pure, before any transaction.

Laws of this file:
- Total: every message is exactly one of a Fact, StreamPosition, Ignored or Parked. Nothing raises.
- A kind that this version does not know, or that says nothing to a buyer, is ignored; it is no error.
- Where a message came from is said by its headers; one without them, or of another family, is applied and not counted.
- Versions newer than ours are read as ours: fields are only ever added (see ticketflow.events).
"""

import msgspec

from portal.following import FAMILY, Source
from portal.projection import concerns, seen
from portal.sale import Sale
from portal.store import Parked, ParkReason
from ticketflow.delivery import lane_of
from ticketflow.events import (
    BadEvent,
    Envelope,
    OrderFailed,
    Payload,
    PaymentAuthorized,
    SaleReturn,
    SaleSettle,
    TicketsVoided,
    decode,
    envelope_for,
    is_id,
    payload_of,
)
from ticketflow.events.replay import StreamPosition, position_of
from ticketflow.runtime.amqp import Delivery

SEQ_MAX = 2**63 - 1


class Fact(msgspec.Struct, frozen=True):
    """An event to be applied: what it says of the sale, and the command that follows from it."""

    envelope: Envelope
    view: Sale
    command: Envelope | None


class Ignored(msgspec.Struct, frozen=True):
    kind: str


Meaning = Fact | Ignored | Parked | StreamPosition


def understand(delivery: Delivery) -> Meaning:
    """The meaning of one message."""
    try:
        envelope = decode(delivery.body)
    except BadEvent as error:
        return parked(delivery, None, "undecodable", str(error))
    try:
        if envelope.kind == StreamPosition.kind:
            position = position_of(envelope)
            return position if lane_of(FAMILY, position.stream) is not None else Ignored(envelope.kind)
        payload = payload_of(envelope)
    except BadEvent as error:
        return parked(delivery, envelope, "undecodable", str(error))
    if payload is None or not concerns(payload):
        return Ignored(envelope.kind)
    view = seen(envelope, payload)
    if not is_id(view.order_id):
        return parked(delivery, envelope, "poison", "its order_id is no UUIDv7")
    if not all(map(is_id, view.refunds)):
        return parked(delivery, envelope, "poison", "its refund_id is no UUIDv7")
    command = command_after(payload)
    return Fact(envelope, view, None if command is None else _enveloped(command, view.order_id, envelope))


def command_after(payload: Payload) -> SaleSettle | SaleReturn | None:
    """What reservation has to do when this has happened."""
    match payload:
        case PaymentAuthorized():  # paid for: make it sold, or say that it is lost
            return SaleSettle(
                hold_id=payload.order_id, payment_id=payload.payment_id, started_at_us=payload.started_at_us
            )
        case OrderFailed(return_id=str(return_id)):  # the places are sold to it, and the money cannot be had
            return SaleReturn(hold_id=payload.order_id, return_id=return_id)
        # Without places there is nothing to give back, and a command that names none means all of them.
        case TicketsVoided(seats_back=True, unit_ids=[_, *_]):
            return SaleReturn(hold_id=payload.order_id, return_id=payload.refund_id, unit_ids=payload.unit_ids)
        case _:
            return None


def source_of(delivery: Delivery, meaning: Meaning) -> Source | None:
    """Where it came from, as the bridge wrote it; None when that is not said."""
    headers = delivery.headers
    stream, epoch, seq = headers.get("stream"), headers.get("epoch"), headers.get("seq")
    if not (isinstance(stream, str) and isinstance(epoch, int) and isinstance(seq, int)):
        return None
    if lane_of(FAMILY, stream) is None or not 1 <= epoch <= SEQ_MAX or not 1 <= seq <= SEQ_MAX:
        return None
    return Source(stream, epoch, seq, meaning.envelope.id if isinstance(meaning, Fact) else None)


def parked(delivery: Delivery, envelope: Envelope | None, reason: ParkReason, detail: str, attempts: int = 0) -> Parked:
    """The row under which a message is set aside."""
    return Parked(
        body=delivery.body,
        event_id=None if envelope is None else envelope.id,
        key="" if envelope is None else envelope.key,
        kind=delivery.routing_key if envelope is None else envelope.kind,
        headers=delivery.headers,
        reason=reason,
        detail=detail,
        attempts=attempts,
    )


def _enveloped(command: Payload, order_id: str, cause: Envelope) -> Envelope:
    return envelope_for(command, key=order_id, correlation_id=cause.correlation_id, traceparent=cause.traceparent)
