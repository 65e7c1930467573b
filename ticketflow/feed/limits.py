"""Every bound of the feed, with its unit and its reason.

Laws of this file:
- The wire's own bounds are constants: two peers must agree on them, so no setting may change them.
- What one side decides for itself is a field of ``Limits``; tests make these small, production keeps the defaults.
- The time-outs are ordered: ping < frame < idle, and hello + decide < welcome. ``Limits`` refuses any other order.
"""

from dataclasses import dataclass

VERSION = 1  # the version this code speaks, and the highest it offers
VERSION_MIN = 1  # the lowest it still accepts

FRAME_BYTES_MAX = 256 * 1024  # body of a frame: room for three events of 64 KiB, small enough to sit in memory per peer
SMALL_BYTES_MAX = 1020  # body of any frame but EVENTS: with its 4 header bytes 1 KiB, all a stranger may make us hold
NESTING_MAX = 4  # levels in elements of HELLO and WELCOME that this version does not know: more is an attack
SEQ_MAX = 2**63 - 1  # what a BIGINT holds
STREAM_CHARS_MAX = 64  # a stream's name is a label of metrics and logs
NAME_CHARS_MAX = 64  # of a sender or receiver, for logs
FORKS_MAX = 16  # in HELLO: a sender that lost history more often than that needs a person, not a longer list
CODE_CHARS_MAX = 32
REASON_CHARS_MAX = 200  # at most 800 bytes of UTF-8: fits a small frame whatever the script
EVENTS_PER_FRAME_MAX = 1024  # bounds the objects that one frame of tiny events can make us allocate
EVENT_OVERHEAD_BYTES = 5  # the longest msgpack header of one event
FRAME_OVERHEAD_BYTES = 32  # array header, "events", first_seq, list header: at most 24 bytes
EVENT_BYTES_MAX = FRAME_BYTES_MAX - EVENT_OVERHEAD_BYTES - FRAME_OVERHEAD_BYTES
WINDOW_EVENTS_MAX = 1_000_000  # a receiver that promises more is broken
WINDOW_BYTES_MIN = FRAME_BYTES_MAX  # so that the largest event always fits an empty window
WINDOW_BYTES_MAX = 1 << 30
PING_MS_MIN = 50  # a peer that asks for more pings than this asks for a flood
TIMEOUT_MS_MAX = 600_000
COURTESIES_PER_SECOND = 20  # PONGs and repeated ACKs: what a peer can have us queue without reading any of it
FLOOD_PER_SECOND = 1000  # PINGs and repeated frames: beyond this a peer only burns our processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one side decides for itself. Times are seconds, sizes bytes."""

    # receiver: what it promises in WELCOME, and refuses beyond
    window_events: int = 2048  # two batches: one being applied, one arriving meanwhile
    window_bytes: int = 2 * 1024 * 1024  # 64 connections hold at most 128 MiB; 2048 events of 1 KiB
    batch_events_max: int = 1024  # one apply, one transaction: beyond this a longer one saves nothing
    batch_bytes_max: int = 1024 * 1024

    # both sides: signs of life
    ping_interval_s: float = 2.0
    idle_timeout_s: float = 6.0  # three pings lost
    frame_timeout_s: float = 5.0  # a frame once begun; 32 KiB on a link with 200 ms delay and 10 % loss takes about 1 s

    # receiver: the handshake
    hello_timeout_s: float = 3.0
    decide_timeout_s: float = 5.0  # `Receiver.hello` reads a database; above its statement time-out
    unavailable_retry_s: float = 0.5  # hint to a sender whose receiver cannot reach its store just now

    # sender: the handshake
    connect_timeout_s: float = 3.0  # TCP and TLS, for each address
    welcome_timeout_s: float = 9.0  # above hello_timeout_s + decide_timeout_s, so that REFUSE arrives first
    frame_target_bytes: int = (
        32 * 1024
    )  # a frame is closed at this size: acks flow, and a lossy link meets the deadline

    # receiver: caps
    connections_max: int = 64  # a handful of streams, and room for those that reconnect
    connections_per_peer_max: int = 32  # by address: 16 lanes, and as many that reconnect; half of all places

    # both sides: the transport
    write_buffer_bytes: int = 512 * 1024  # unsent output above this stops the sender, and stops us reading a flooder
    linger_s: float = 1.0  # after REFUSE or the last ACK: time for the peer to read it before the socket dies
    connection_lost_s: float = 2.0  # a closing transport that does not end by itself is aborted

    def __post_init__(self) -> None:
        ordered = self.ping_interval_s < self.idle_timeout_s and self.frame_timeout_s < self.idle_timeout_s
        if not ordered:
            raise ValueError("limits: ping_interval_s and frame_timeout_s must be below idle_timeout_s")
        if self.welcome_timeout_s <= self.decide_timeout_s:
            raise ValueError("limits: welcome_timeout_s must be above decide_timeout_s")
        if not 1 <= self.window_events <= WINDOW_EVENTS_MAX:
            raise ValueError(f"limits: window_events must be 1 to {WINDOW_EVENTS_MAX}")
        if not WINDOW_BYTES_MIN <= self.window_bytes <= WINDOW_BYTES_MAX:
            raise ValueError(f"limits: window_bytes must be {WINDOW_BYTES_MIN} to {WINDOW_BYTES_MAX}")
