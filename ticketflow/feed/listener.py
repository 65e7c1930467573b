"""A listening socket whose connections are counted from the moment they are accepted.

`asyncio.create_server` tells of a TLS connection only when its handshake is done, so nobody counts those that never
finish one; and in Python 3.12 its `wait_closed` waits for every client. So we accept ourselves; and in a callback, as
a task in `sock_accept` that is cancelled in the wrong moment loses the connection that it has just accepted.
"""

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from ticketflow.feed.identity import Tls
from ticketflow.feed.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S, last_words
from ticketflow.feed.tls_faults import fault_of
from ticketflow.feed.tls_refusals import TlsRefusals

log = structlog.get_logger("ticketflow.feed")

BACKLOG = 128
ACCEPT_PAUSE_S = 0.1  # when the process has no file descriptor left
ALERT_LINGER_S = 0.5  # for a sender to read why its handshake failed
ALERT_READ_BYTES = 4096


class Listener:
    """``admit(host)``: the protocol for a new connection from there, or None to hang up at once.

    ``over(protocol)`` is called when a connection that was admitted ended before asyncio had it; maybe more than once.
    """

    def __init__(
        self,
        ssl: ssl_module.SSLContext | Tls | None,
        admit: Callable[[str], asyncio.Protocol | None],
        over: Callable[[asyncio.Protocol], None],
        refusals: TlsRefusals,
    ) -> None:
        self._ssl = ssl
        self._admit = admit
        self._over = over
        self._refusals = refusals
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def port(self) -> int | None:
        """The port of the first socket; None when not listening."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else None

    async def start(self, host: str, port: int) -> None:
        """Listen on every address of ``host``. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
                self._sockets.append(_listening(family, address))
        except OSError:
            await self.stop()
            raise
        for listening in self._sockets:
            loop.add_reader(listening.fileno(), self._accept, listening)

    async def stop(self) -> None:
        """Accept no more, and hang up on handshakes in progress."""
        self._stopped = True
        for listening in self._sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("feed_accept_failed", detail=str(error))
                self._pause(listening)
                return
            accepted.setblocking(False)
            self._admitted(accepted, address)

    def _pause(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening.fileno())

        def go_on() -> None:
            if not self._stopped:
                loop.add_reader(listening.fileno(), self._accept, listening)

        loop.call_later(ACCEPT_PAUSE_S, go_on)

    def _admitted(self, accepted: socket.socket, address: tuple[Any, ...]) -> None:
        protocol = self._admit(address[0])
        if protocol is None:
            accepted.close()
            return

        def opened(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            if task.cancelled():  # maybe before its first step
                accepted.close()
                self._over(protocol)

        task = asyncio.create_task(self._open(accepted, address, protocol))
        self._tasks.add(task)
        task.add_done_callback(opened)

    async def _open(self, accepted: socket.socket, address: tuple[Any, ...], protocol: asyncio.Protocol) -> None:
        """Hand the connection to asyncio; with TLS, shake hands first."""
        ssl = self._ssl.identity.server if isinstance(self._ssl, Tls) else self._ssl
        # asyncio closes its own at once when the handshake fails; ours keeps the connection until the sender knows why.
        ours = None if ssl is None else _second(accepted)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=ssl,
                ssl_handshake_timeout=None if ssl is None else HANDSHAKE_TIMEOUT_S,
                ssl_shutdown_timeout=None if ssl is None else SHUTDOWN_TIMEOUT_S,
            )
        except OSError as error:  # ssl.SSLError and TimeoutError among them
            accepted.close()
            if ssl is not None:
                self._refusals.tell(address[0], address[1], fault_of(error))
            if ours is not None:
                await _say(ours, last_words(error))
            self._over(protocol)
        finally:
            if ours is not None:
                ours.close()


def _second(accepted: socket.socket) -> socket.socket | None:
    try:
        return accepted.dup()
    except OSError:  # no file descriptor left: then without a word
        return None


async def _say(connection: socket.socket, words: bytes) -> None:
    """Send an alert and give the sender a moment to read it: closing with input unread would take it from him."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ALERT_LINGER_S):
            if words:
                await loop.sock_sendall(connection, words)
            connection.shutdown(socket.SHUT_WR)
            while words and await loop.sock_recv(connection, ALERT_READ_BYTES):
                pass


def _listening(family: int, address: tuple[Any, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
