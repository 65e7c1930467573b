"""A listening socket whose connections are counted from the moment they are accepted.

`asyncio.create_server` tells of a TLS connection only when its handshake is done, so nobody counts those that never
finish one; and in Python 3.12 its `wait_closed` waits for every client. So we accept ourselves.
"""

import asyncio
import socket
import ssl as ssl_module
from collections.abc import Callable
from typing import Any

import structlog

from ticketflow.feed.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S

log = structlog.get_logger("ticketflow.feed")

BACKLOG = 128
ACCEPT_PAUSE_S = 0.1  # when the process has no file descriptor left


class Listener:
    """``admit(host)``: the protocol for a new connection from there, or None to hang up at once.

    ``over(protocol)`` is called when a connection that was admitted ended before asyncio had it; maybe more than once.
    """

    def __init__(
        self,
        ssl: ssl_module.SSLContext | None,
        admit: Callable[[str], asyncio.Protocol | None],
        over: Callable[[asyncio.Protocol], None],
    ) -> None:
        self._ssl = ssl
        self._admit = admit
        self._over = over
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

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
            self._keep(self._accept(listening))

    async def stop(self) -> None:
        """Accept no more, and hang up on handshakes in progress."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("feed_accept_failed", detail=str(error))
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            protocol = self._admit(address[0])
            if protocol is None:
                accepted.close()
            else:
                self._keep(self._open(accepted, address[0], protocol))

    async def _open(self, accepted: socket.socket, host: str, protocol: asyncio.Protocol) -> None:
        """Hand the connection to asyncio; with TLS, shake hands first."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._ssl,
                ssl_handshake_timeout=None if self._ssl is None else HANDSHAKE_TIMEOUT_S,
                ssl_shutdown_timeout=None if self._ssl is None else SHUTDOWN_TIMEOUT_S,
            )
        except OSError as error:  # ssl.SSLError and TimeoutError among them
            log.info("feed_handshake_failed", peer=host, error=type(error).__name__, detail=str(error))
            accepted.close()
            self._over(protocol)
        except asyncio.CancelledError:
            accepted.close()
            self._over(protocol)
            raise

    def _keep(self, coroutine: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


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
