"""The receiver's log lines of senders that TLS keeps out: the first at once, then not more than a person can read.

A sender that is refused comes again within a second, for as long as nobody has mended it. The metric counts all.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog

from ticketflow.feed.metrics import count_tls_fault
from ticketflow.feed.states import Role
from ticketflow.feed.tls_faults import Found

log = structlog.get_logger("ticketflow.feed")

QUIET_S = 10.0  # between two lines of one host with one reason
REMEMBERED_MAX = 256  # hosts and reasons; the one that was silent longest is forgotten


class TlsRefusals:
    """Of one listener. ``clock`` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()  # when, and how many since

    def tell(self, host: str, port: int, found: Found, **more: Any) -> None:
        """Count it, and log it unless the same was logged a moment ago; ``untold`` says how often that happened."""
        count_tls_fault(Role.RECEIVER, found)
        key, now = (host, str(found.fault)), self._clock()
        told_at, untold = self._told.get(key, (now - QUIET_S, 0))
        if now - told_at < QUIET_S:
            self._told[key] = told_at, untold + 1
            return
        self._told[key] = now, 0
        self._told.move_to_end(key)
        while len(self._told) > REMEMBERED_MAX:
            self._told.popitem(last=False)
        more = {"by_peer": found.by_peer, "detail": found.text, "untold": untold, **more}
        log.warning("feed_tls_refused", peer=f"{host}:{port}", reason=found.fault, **more)
