"""The way to RabbitMQ by TLS 1.3: with our certificate, and to a node that shows the right one.

Laws of this file:
- A node is judged after the handshake and before the first byte of AMQP: whoever it is not meant for gets no password.
- The files are asked for each connection, so renewed ones are used by the next; a session that stands is not touched.
- What went wrong has the words of the feeds: ``ticketflow.feed.tls_faults``.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Collection, Iterator

from yarl import URL

from ticketflow.feed.identity import Identity, Tls
from ticketflow.feed.metrics import count_tls_fault
from ticketflow.feed.seldom import Seldom
from ticketflow.feed.tls import peer_names
from ticketflow.feed.tls_faults import Found, fault_of, not_allowed
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.log import get_logger

PORT = 5671
# AMQP has said goodbye before TLS does, and a dead node must not hold up the next session: see LOST_CLOSE_TIMEOUT_S.
SHUTDOWN_TIMEOUT_S = 0.1
ROLE = "amqp"  # of the metric

# A node that hangs up on our first bytes may have refused our certificate; its alert does not always outrun the reset.
_HUNG_UP = ConnectionResetError | BrokenPipeError

log = get_logger("amqp")


class NodeRefused(ConnectionError):
    """We have something against a node."""

    def __init__(self, found: Found) -> None:
        super().__init__(found.text)
        self.found = found


class NodeTls:
    """For all brokers of a process. ``tls``: as whom we come, and what a node may be called. ``clock`` in seconds."""

    def __init__(self, tls: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        self._tls = tls
        self._seldom = Seldom(clock)  # by node and reason

    async def dial(self, url: URL, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Connects ``protocol`` to a node that may be told our password. Raises OSError, NodeRefused among them."""
        loop = asyncio.get_running_loop()
        host, port = url.host or "localhost", url.port or PORT
        context = self._tls.identity.client
        try:
            transport, _ = await loop.create_connection(
                protocol, host, port, ssl=context, ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S
            )
        except ssl.SSLError as error:
            raise NodeRefused(fault_of(error)) from error
        names = peer_names(transport.get_extra_info("ssl_object").getpeercert())
        if not self._tls.admits(names):
            transport.abort()
            raise NodeRefused(not_allowed(names))

    def failure(self, url: URL, error: Unavailable) -> Unavailable | None:
        """What kept us from the first frame, when TLS is behind it; it is counted and logged. Else None.

        A node judges our certificate after we have judged its own: its verdict ends a connection that seems to stand.
        """
        found = next(filter(None, map(_found, _chain(error))), None)
        if found is None:
            return None
        node = f"{url.host}:{url.port or PORT}"
        count_tls_fault(ROLE, found)
        untold = self._seldom.due((node, found.fault))
        if untold is not None:
            log.warning(
                "amqp_tls_failed",
                node=node,
                reason=found.fault,
                by_peer=found.by_peer,
                detail=found.text,
                untold=untold,
            )
        return Unavailable(f"RabbitMQ, connecting: TLS failed with {node}: {found.text}")


def node_tls(identity: Identity | None, allowed: Collection[str]) -> NodeTls | None:
    """None without an identity: then RabbitMQ is on loopback, and plain."""
    return None if identity is None else NodeTls(Tls(identity, frozenset(allowed)))


def _found(error: BaseException) -> Found | None:
    if isinstance(error, NodeRefused):
        return error.found
    return fault_of(error) if isinstance(error, ssl.SSLError | _HUNG_UP) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from; the library raises some from themselves."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__
