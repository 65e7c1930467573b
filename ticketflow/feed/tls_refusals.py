"""The receiver's log lines of senders that TLS keeps out: the first at once, then not more than a person can read.

A sender that is refused comes again within a second, for as long as nobody has mended it. The metric counts all.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog

from ticketflow.feed.metrics import count_tls_fault
from ticketflow.feed.seldom import Seldom
from ticketflow.feed.states import Role
from ticketflow.feed.tls_faults import Found

log = structlog.get_logger("ticketflow.feed")


class TlsRefusals:
    """Of one listener. ``clock`` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._seldom = Seldom(clock)  # by host and reason

    def tell(self, host: str, port: int, found: Found, **more: Any) -> None:
        """Count it, and log it unless the same was logged a moment ago; ``untold`` says how often that happened."""
        count_tls_fault(Role.RECEIVER, found)
        untold = self._seldom.due((host, found.fault))
        if untold is None:
            return
        more = {"by_peer": found.by_peer, "detail": found.text, "untold": untold, **more}
        log.warning("feed_tls_refused", peer=f"{host}:{port}", reason=found.fault, **more)
