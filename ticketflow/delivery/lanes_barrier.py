"""The barrier: an event of delivery's own, with which a lane goes on after the number of lanes was changed.

Laws:
- It is stamped and kept like any event, so that it stands in its place again whenever its lane is replayed.
- Both ends keep it. The sender sends it only when the other lanes are acknowledged up to where it says (`Gate`): enough
  for a receiver that stores nothing. A receiver that stores its watermarks refuses it until they are there, which no
  copy that is restored to an older state can evade: it lost the other lanes' events along with the barrier.
- It requires nothing but what was stamped before the change that it is of, and so before itself. So barriers never
  wait for each other in a circle.
"""

import time

import msgspec

from ticketflow.events import BadEvent, Envelope, new_id

KIND = "delivery.barrier"
KEY = "lanes"  # of no aggregate: it has no effect


class Barrier(msgspec.Struct, frozen=True):
    """``requires``: by stream, the seq up to which it must have been applied."""

    requires: dict[str, int]


_decoder = msgspec.msgpack.Decoder(Barrier)


def barrier_event(requires: dict[str, int]) -> Envelope:
    """A new barrier."""
    event_id = new_id()
    return Envelope(
        id=event_id,
        kind=KIND,
        version=1,
        key=KEY,
        occurred_at_us=time.time_ns() // 1000,
        correlation_id=event_id,
        payload=msgspec.Raw(msgspec.msgpack.encode(Barrier(requires))),
    )


def requires_of(envelope: Envelope) -> dict[str, int]:
    """What a barrier requires. Raises BadEvent."""
    try:
        return _decoder.decode(envelope.payload).requires
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadEvent(f"{KIND}: {error}") from error


def missing(requires: dict[str, int], positions: dict[str, int]) -> dict[str, tuple[int, int]]:
    """(wanted, there) of every stream that is behind what is required; a stream without a position stands at 0."""
    return {
        stream: (seq, positions.get(stream, 0)) for stream, seq in requires.items() if positions.get(stream, 0) < seq
    }
