"""What the feed tells Prometheus. The label `stream` is only ever that of a session both sides agreed on."""

from prometheus_client import Counter, Gauge, Histogram

from ticketflow.feed.errors import Code
from ticketflow.feed.protocol import Counts
from ticketflow.feed.states import Role
from ticketflow.feed.tls_faults import Found

CONNECTS = Counter("feed_connects_total", "Attempts of a sender to open a session.", ["stream", "outcome"])
SESSIONS_OPENED = Counter("feed_sessions_total", "Sessions that reached WELCOME.", ["role", "stream"])
SESSIONS_OPEN = Gauge("feed_sessions_open", "Sessions that are streaming now.", ["role", "stream"])
CONNECTIONS_OPEN = Gauge("feed_connections_open", "Connections to the listener, whatever their state.")
ENDED = Counter("feed_sessions_ended_total", "Sessions that ended, by the type of their error.", ["role", "error"])
FRAMES = Counter("feed_frames_total", "Frames.", ["role", "way"])
BYTES = Counter("feed_bytes_total", "Bytes before TLS.", ["role", "way"])
EVENTS = Counter(
    "feed_events_total", "Events sent (sender) or received (receiver), repeats included.", ["role", "stream"]
)
REFUSALS = Counter("feed_refusals_total", "REFUSE frames.", ["role", "way", "code"])
WINDOW_EVENTS = Gauge("feed_window_events_used", "Events sent and not yet acknowledged.", ["role", "stream"])
WINDOW_EVENTS_MAX = Gauge("feed_window_events_max", "The window in events, as WELCOME gave it.", ["stream"])
ACK_SECONDS = Histogram(
    "feed_ack_seconds",
    "From sending a frame to its acknowledgement: the oldest frame of each ACK.",
    ["stream"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
APPLY_SECONDS = Histogram(
    "feed_apply_seconds",
    "One call of a receiver's apply.",
    ["stream"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)

TLS_FAULTS = Counter(
    "feed_tls_faults_total",
    "TLS handshakes that failed. by: who found the fault, `us` or the `peer`.",
    ["role", "reason", "by"],
)
TLS_ENDS = Gauge(
    "feed_tls_ends_timestamp_seconds", "When our certificate ends, and the CA that issued it: Unix time.", ["what"]
)
TLS_FILES_BAD = Gauge("feed_tls_files_bad", "1 while the TLS files cannot be used, and older ones are.")
TLS_LOADS = Counter(
    "feed_tls_loads_total", "TLS files that were read, at the start and when they changed.", ["outcome"]
)


def count_refusal(role: Role, way: str, code: str) -> None:
    """Count one REFUSE; codes of newer peers share one label, so that a peer cannot invent labels."""
    REFUSALS.labels(role, way, code if code in set(Code) else "other").inc()


def count_tls_fault(role: str, found: Found) -> None:
    """``role``: of a feed; or who else does TLS by this package's means."""
    TLS_FAULTS.labels(role, found.fault, "peer" if found.by_peer else "us").inc()


class SessionMeter:
    """Adds what a session counted since the last call to the totals: cheap enough to be called often."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._told = Counts()

    def update(self, now: Counts, stream: str | None, window_events_used: int | None = None) -> None:
        """``stream``: None until the session is agreed on. ``window_events_used``: None once it is over."""
        told, role = self._told, self._role
        FRAMES.labels(role, "in").inc(now.frames_in - told.frames_in)
        FRAMES.labels(role, "out").inc(now.frames_out - told.frames_out)
        BYTES.labels(role, "in").inc(now.bytes_in - told.bytes_in)
        BYTES.labels(role, "out").inc(now.bytes_out - told.bytes_out)
        if stream is not None:
            EVENTS.labels(role, stream).inc(now.events - told.events)
            told.events = now.events
            if window_events_used is not None:
                WINDOW_EVENTS.labels(role, stream).set(window_events_used)
        told.frames_in, told.frames_out = now.frames_in, now.frames_out
        told.bytes_in, told.bytes_out = now.bytes_in, now.bytes_out
