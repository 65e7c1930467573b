"""The rows of the database in memory. They are never changed, only replaced; ``brief`` is for the trace."""

from typing import NamedTuple

FOR_EVER = 1e9  # the year 9999, as a time of the simulation
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
        return f"{self.key} {self.event_id[-6:]} seq={self.seq}{'' if self.seq is None else f' of {self.stream}'}"


class StreamEntry(NamedTuple):
    epoch: int
    last_seq: int
    acked_seq: int
    lanes: int = 1
    barrier_seq: int = 0
    barrier_due: str = ""

    def brief(self) -> str:
        lanes = f" of {self.lanes} lanes" if self.lanes > 1 else ""
        return f"last={self.last_seq} acked={self.acked_seq} epoch={(self.epoch - EPOCH_US) / 1e6:.4f}{lanes}"


class BarrierEntry(NamedTuple):
    requires: str

    def brief(self) -> str:
        return f"requires {self.requires}"


class ReplicaEntry(NamedTuple):
    """Who relays how many lanes."""

    held: int
    seen_at: float

    def brief(self) -> str:
        return f"relays {self.held}"


class LeaseEntry(NamedTuple):
    owner: str
    token: int
    expires_at: float

    def brief(self) -> str:
        until = "for ever" if self.expires_at >= FOR_EVER else f"until {self.expires_at:.4f}"
        return f"{self.owner or 'nobody'} token={(self.token - EPOCH_US) / 1e6:.4f} {until}"


class InboxEntry(NamedTuple):
    """A dedup key."""

    stream: str
    seq: int | None
    received_at: float

    def brief(self) -> str:
        return f"seq={self.seq} of {self.stream}"


class PositionEntry(NamedTuple):
    """The receiving end of a stream."""

    epoch: int
    watermark: int
    fence: int

    def brief(self) -> str:
        epoch, fence = ((each - EPOCH_US) / 1e6 for each in (self.epoch, self.fence))
        return f"watermark={self.watermark} epoch={epoch:.4f} fence={fence:.4f}"


class ForkEntry(NamedTuple):
    after_seq: int
    note: str

    def brief(self) -> str:
        return f"after {self.after_seq}: {self.note}"


class PassedEntry(NamedTuple):
    event_id: str | None


class PhantomEntry(NamedTuple):
    stream: str
    epoch: int
    seq: int
    event_id: str
    resolved: bool = False

    def brief(self) -> str:
        return f"{self.event_id[-6:]} seq={self.seq}{' resolved' if self.resolved else ''}"


class CheckEntry(NamedTuple):
    """How far one side of a stream has been counted."""

    checked: int = 0
    floor: int = 0
    recount_at: float = 0.0
    resume: int = 0
    stuck: int = -1
    tries: int = 0

    def brief(self) -> str:
        return f"checked={self.checked} floor={self.floor} resume={self.resume} stuck={self.stuck} tries={self.tries}"


class HoleEntry(NamedTuple):
    side: str
    stream: str
    epoch: int
    first_seq: int
    last_seq: int
    filled: bool
    given_up: bool

    def brief(self) -> str:
        how = "filled" if self.filled else "given up" if self.given_up else "open"
        return f"{self.first_seq}..{self.last_seq} {how}"


class AggregateEntry(NamedTuple):
    """What a service's own tables tell of one key: the marks of the events that changed it, in order."""

    marks: tuple[str, ...]

    def brief(self) -> str:
        return f"... {self.marks[-1]}" if self.marks else "empty"
