"""Where a sender goes on, from what both ends know. Pure: no store, no feed, no clock.

Laws:
- A watermark behind the last ack means that the receiver lost history: go back to it (rewind).
- A watermark ahead of the last stamped seq, or of a newer epoch, means that this sender lost history: send nothing
  under this epoch, for it would put other events under seqs the receiver already has. Begin a new one (fork).
- A watermark of an older epoch means that the receiver cannot tell what it shares with this sender: a person must. Not
  in a lane beyond the first in which nothing was stamped yet: its store was restored to before it had that lane, which
  the receiver knows from before, and what they share is nothing (fork).
- A receiver without a memory (watermark None) goes on after the last ack.
- A sender stamps only after this has been decided in the present session: a restored one must not catch up unseen.
"""

from dataclasses import dataclass

from ticketflow.delivery.dialect import StreamState
from ticketflow.delivery.errors import StreamHistoryLost


@dataclass(frozen=True, slots=True)
class Resume:
    """Send what follows ``after_seq``. ``rewound_from``: the last ack, when the receiver is behind it, else None."""

    after_seq: int
    rewound_from: int | None = None


@dataclass(frozen=True, slots=True)
class Forking:
    """Send nothing: begin a new epoch, newer than ``epoch``. ``after_seq``: what is left of the present one."""

    after_seq: int
    epoch: int  # the receiver's, at its watermark; older than the sender's where they share nothing
    watermark: int


def decide(
    stream: str, sender: StreamState, epoch: int | None, watermark: int | None, *, lane: int = 0
) -> Resume | Forking:
    """``epoch`` and ``watermark`` are the receiver's, from WELCOME; ``lane`` is the number of this one. Raises
    StreamHistoryLost."""
    if watermark is None:
        return Resume(sender.acked_seq)
    if epoch is None:
        epoch = sender.epoch
    if epoch < sender.epoch and lane > 0 and sender.last_seq == 0:
        return Forking(0, epoch, watermark)
    if epoch < sender.epoch:
        raise StreamHistoryLost(
            f"stream {stream}: the receiver stands in epoch {epoch} at {watermark} and does not know what it shares"
            f" with this sender, which is in epoch {sender.epoch} at {sender.last_seq}"
        )
    if epoch > sender.epoch or watermark > sender.last_seq:
        return Forking(sender.last_seq, epoch, watermark)
    if watermark < sender.acked_seq:
        return Resume(watermark, rewound_from=sender.acked_seq)
    return Resume(watermark)
