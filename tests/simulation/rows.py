"""The rows of the database in memory. They are never changed, only replaced; ``brief`` is for the trace."""

from typing import NamedTuple

EPOCH_US = 1_700_000_000_000_000  # the database's clock at simulated time 0


class OutboxEntry(NamedTuple):
    stream: str
    event_id: str
    key: str
    kind: str
    body: bytes
    created_at: float
    seq: int | None = None

    def brief(self) -> str:
        return f"{self.key} {self.event_id[-6:]} seq={self.seq}"


class StreamEntry(NamedTuple):
    epoch: int
    last_seq: int
    acked_seq: int

    def brief(self) -> str:
        return f"last={self.last_seq} acked={self.acked_seq} epoch={(self.epoch - EPOCH_US) / 1e6:.4f}"


class LeaseEntry(NamedTuple):
    owner: str
    token: int
    expires_at: float

    def brief(self) -> str:
        return f"{self.owner} token={(self.token - EPOCH_US) / 1e6:.4f} until {self.expires_at:.4f}"


class InboxEntry(NamedTuple):
    """A dedup key."""

    stream: str
    seq: int | None
    received_at: float

    def brief(self) -> str:
        return f"seq={self.seq}"


class PositionEntry(NamedTuple):
    """The receiving end of a stream."""

    epoch: int
    watermark: int
    fence: int

    def brief(self) -> str:
        return f"watermark={self.watermark} fence={(self.fence - EPOCH_US) / 1e6:.4f}"


class AggregateEntry(NamedTuple):
    """What a service's own tables tell of one key: the marks of the events that changed it, in order."""

    marks: tuple[str, ...]

    def brief(self) -> str:
        return f"... {self.marks[-1]}" if self.marks else "empty"
