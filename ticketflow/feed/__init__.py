"""The feed: one stream of numbered events from a sender to a receiver, at least once and in order.

It carries opaque event bodies and knows nothing of what they mean. The protocol is specified in docs/feed-protocol.md.

Laws of this package:
- ``frames``, ``messages``, ``states``, ``window``, ``protocol``, ``sending``, ``receiving``, ``rotation`` do no I/O and
  know no clock.
- ``link``, ``client``, ``session``, ``server`` are thin asyncio shells round them.
- TLS: ``tls`` makes contexts, ``identity`` keeps them up to date, ``trust`` judges the receiver, ``tls_faults`` has the
  words for what went wrong.
- Nothing here imports delivery, events or a service.
"""

from ticketflow.feed.address import Address, parse_addresses
from ticketflow.feed.client import SenderSession, connect
from ticketflow.feed.errors import (
    BadAddress,
    BadTls,
    Code,
    ConnectFailed,
    FeedError,
    LocalProtocolError,
    PeerLeft,
    PeerSilent,
    Refusal,
    Refused,
    RemoteProtocolError,
    SessionLost,
    TlsFailed,
)
from ticketflow.feed.identity import Identity, Tls, identity_of, tls_of
from ticketflow.feed.limits import EVENT_BYTES_MAX, FORKS_MAX, FRAME_BYTES_MAX, VERSION, Limits
from ticketflow.feed.messages import Hello, Welcome
from ticketflow.feed.receiving import Position
from ticketflow.feed.rotation import Backoff, Rotation
from ticketflow.feed.server import FeedServer
from ticketflow.feed.session import Peer, Receiver
from ticketflow.feed.tls import client_context, server_context

__all__ = [
    "EVENT_BYTES_MAX",
    "FORKS_MAX",
    "FRAME_BYTES_MAX",
    "VERSION",
    "Address",
    "Backoff",
    "BadAddress",
    "BadTls",
    "Code",
    "ConnectFailed",
    "FeedError",
    "FeedServer",
    "Hello",
    "Identity",
    "Limits",
    "LocalProtocolError",
    "Peer",
    "PeerLeft",
    "PeerSilent",
    "Position",
    "Receiver",
    "Refusal",
    "Refused",
    "RemoteProtocolError",
    "Rotation",
    "SenderSession",
    "SessionLost",
    "Tls",
    "TlsFailed",
    "Welcome",
    "client_context",
    "connect",
    "identity_of",
    "parse_addresses",
    "server_context",
    "tls_of",
]
