"""Where a sender goes on, from what both ends know. Pure: no store, no feed, no clock.

Laws:
- A watermark behind the last ack means that the receiver lost history: go back to it (rewind).
- A watermark ahead of the last stamped seq, or of another epoch, means that this sender lost history: send nothing, for
  it would put other events under seqs the receiver already has.
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


def decide(stream: str, sender: StreamState, epoch: int | None, watermark: int | None) -> Resume:
    """``epoch`` and ``watermark`` are the receiver's, from WELCOME. Raises StreamHistoryLost."""
    if watermark is None:
        return Resume(sender.acked_seq)
    if epoch is not None and epoch != sender.epoch:
        raise StreamHistoryLost(
            f"stream {stream}: the receiver stands in epoch {epoch} at {watermark}, this sender is in epoch"
            f" {sender.epoch} at {sender.last_seq}"
        )
    if watermark > sender.last_seq:
        raise StreamHistoryLost(
            f"stream {stream}: the receiver has {watermark}, this sender has stamped only {sender.last_seq}"
        )
    if watermark < sender.acked_seq:
        return Resume(watermark, rewound_from=sender.acked_seq)
    return Resume(watermark)
