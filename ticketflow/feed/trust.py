"""The sender's side of TLS: is the receiver whom we want to feed, and what did he have against us?"""

import asyncio
import ssl as ssl_module

from ticketflow.feed.errors import FeedError, SessionLost, TlsFailed
from ticketflow.feed.identity import Tls
from ticketflow.feed.metrics import count_tls_fault
from ticketflow.feed.states import Role
from ticketflow.feed.tls import peer_names
from ticketflow.feed.tls_faults import Found, fault_of, not_allowed


class Trust:
    """Of one attempt to connect. ``context`` is what asyncio is given; None without TLS."""

    def __init__(self, tls: ssl_module.SSLContext | Tls | None) -> None:
        self.context = tls.identity.client if isinstance(tls, Tls) else tls
        self._tls = tls if isinstance(tls, Tls) else None
        self._stranger: Found | None = None

    def admits(self, transport: asyncio.BaseTransport) -> bool:
        """Whether a receiver whose certificate is good has a name that we want there; ``failure`` remembers."""
        if self._tls is None:
            return True
        names = peer_names(transport.get_extra_info("ssl_object").getpeercert())
        self._stranger = None if self._tls.admits(names) else not_allowed(names)
        return self._stranger is None

    def failure(self, error: BaseException, lost_by: Exception | None) -> FeedError | None:
        """What ``error`` is when TLS is behind it, else None. ``lost_by``: what the connection was lost by.

        The receiver judges our certificate after we have judged his: his verdict ends a connection that seems to stand,
        by an alert, or, from others than us, without one.
        """
        if self.context is None or not isinstance(error, Exception):  # a cancellation stays one
            return None
        found = self._found(error, lost_by)
        if found is not None:
            count_tls_fault(Role.SENDER, found)
            return TlsFailed(found.fault, f"TLS failed with the receiver: {found.text}")
        if type(error) is SessionLost:
            return SessionLost(f"{error}, before WELCOME: perhaps it refused our certificate, see its log")
        return None

    def _found(self, error: BaseException, lost_by: Exception | None) -> Found | None:
        if self._stranger is not None:
            return self._stranger
        if isinstance(error, SessionLost) and lost_by is not None:
            error = lost_by
        return fault_of(error) if isinstance(error, ssl_module.SSLError) else None
