"""The window: what has been sent and not acknowledged, counted alike on both sides.

A frame counts whole until its last event is acknowledged. The receiver lets go when it sends an ACK and the sender when
it reads it, so the receiver's count is never above the sender's: a sender that keeps the rule is never refused.
"""

from collections import deque

_Entry = tuple[int, int, int, float]  # last seq, events, bytes, when


class Window:
    """Unacknowledged frames, oldest first. ``bytes_used`` counts event bodies only, no headers."""

    __slots__ = ("_frames", "bytes_max", "bytes_used", "events_max", "events_used")

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self.events_max = events_max
        self.bytes_max = bytes_max
        self.events_used = 0
        self.bytes_used = 0
        self._frames: deque[_Entry] = deque()

    def add(self, last_seq: int, events: int, size: int, now: float) -> bool:
        """Count one frame in. False when that exceeds the window (it is counted all the same)."""
        self._frames.append((last_seq, events, size, now))
        self.events_used += events
        self.bytes_used += size
        return self.events_used <= self.events_max and self.bytes_used <= self.bytes_max

    def release(self, seq: int) -> float | None:
        """Let go of the frames whose last event is at most ``seq``: when the oldest was added, None for none."""
        oldest: float | None = None
        frames = self._frames
        while frames and frames[0][0] <= seq:
            _, events, size, added = frames.popleft()
            self.events_used -= events
            self.bytes_used -= size
            if oldest is None:
                oldest = added
        return oldest

    @property
    def events_free(self) -> int:
        return self.events_max - self.events_used

    @property
    def bytes_free(self) -> int:
        return self.bytes_max - self.bytes_used
