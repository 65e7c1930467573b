"""The error tree of the feed.

    FeedError
    ├── LocalProtocolError      our own caller broke the rules: a bug on this side; the message was not sent
    ├── SessionLost             the session is over; what is not acknowledged may or may not have been applied
    │   ├── ConnectFailed       no address gave a connection; nothing was sent
    │   │   └── TlsFailed       and with one of them the two did not agree on who they are
    │   ├── PeerSilent          nothing was heard for the idle time-out, or no answer came to HELLO
    │   ├── PeerLeft            the peer said GOODBYE
    │   └── RemoteProtocolError the peer broke the rules; it was sent REFUSE with `code`
    ├── Refused                 the peer sent REFUSE with `code`
    ├── Refusal                 raised by a Receiver to have REFUSE sent
    ├── BadAddress              an address that is none (also a ValueError)
    └── BadTls                  certificate, key or CA cannot be used

Local and remote errors are two types: the first is for us to fix, the second for the peer.
After SessionLost and Refused a sender backs off, connects again, and sends again what is not acknowledged.
"""

from enum import StrEnum


class Code(StrEnum):
    """Why a peer is refused. docs/feed-protocol.md says what the refused side should do about each."""

    BAD_FRAME = "bad_frame"
    FRAME_TOO_LARGE = "frame_too_large"
    BAD_MESSAGE = "bad_message"
    OUT_OF_TURN = "out_of_turn"
    VERSION_UNSUPPORTED = "version_unsupported"
    STREAM_UNKNOWN = "stream_unknown"
    NOT_ALLOWED = "not_allowed"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    FRAME_TIMEOUT = "frame_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    WINDOW_EXCEEDED = "window_exceeded"
    GAP = "gap"
    BAD_ACK = "bad_ack"
    FENCED = "fenced"
    SENDER_BEHIND = "sender_behind"
    SUPERSEDED = "superseded"
    TOO_MANY_SESSIONS = "too_many_sessions"
    SHUTTING_DOWN = "shutting_down"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


# Refusals that say something about this one receiver, not about us: another address may well accept.
ELSEWHERE = frozenset(
    {Code.HANDSHAKE_TIMEOUT, Code.TOO_MANY_SESSIONS, Code.SHUTTING_DOWN, Code.UNAVAILABLE, Code.INTERNAL}
)


class FeedError(Exception):
    """Base of every error of the feed."""

    @property
    def kind(self) -> str:
        """What it is, more precisely than its type: who logs only changes compares this."""
        return type(self).__name__


class LocalProtocolError(FeedError):
    """Our own caller asked for something that the protocol forbids; that message was not sent."""


class SessionLost(FeedError):
    """The session is over. Events that are not acknowledged may or may not have been applied: send them again."""


class ConnectFailed(SessionLost):
    """No address gave a connection. The message names each address and its error."""


class TlsFailed(ConnectFailed):
    """TLS was refused, by us or by the receiver. ``fault`` is one of tls_faults.Fault."""

    def __init__(self, fault: str, text: str) -> None:
        super().__init__(text)
        self.fault = fault

    @property
    def kind(self) -> str:
        return f"{type(self).__name__}:{self.fault}"


class PeerSilent(SessionLost):
    """Nothing was heard from the peer for the idle time-out, or no answer came to HELLO in time."""


class PeerLeft(SessionLost):
    """The peer said GOODBYE and will take no more on this connection."""


class RemoteProtocolError(SessionLost):
    """The peer broke the protocol. ``code`` is what it was refused with."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Refused(FeedError):
    """The peer refused us. ``code`` is text: a newer peer may know codes that ``Code`` does not.

    ``retry_after_s`` is the peer's hint how long to wait before the next attempt, or None.
    """

    def __init__(self, code: str, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s

    @property
    def kind(self) -> str:
        return f"{type(self).__name__}:{self.code}"


class Refusal(FeedError):
    """Raised by a Receiver: refuse this sender with ``code``, which ends its session."""

    def __init__(self, code: str, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s


class BadAddress(FeedError, ValueError):
    """An address is not `host:port` with a port of 1 to 65535."""


class BadTls(FeedError):
    """The certificate, key or CA cannot be used. The message names the file."""
