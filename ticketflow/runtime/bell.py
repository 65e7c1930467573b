"""A bell between processes, for a store that cannot tell one what another has committed: a datagram that says "look".

Laws:
- A ring carries a name and proves nothing: whoever hears it looks into the store. One that is lost costs the time until
  the next poll; a flood of forged ones costs a look every EVERY_S.
- Ringing never waits and never fails. Many rings within EVERY_S are one, after the last of them.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from ticketflow.runtime.address import Address
from ticketflow.runtime.log import get_logger

EVERY_S = 0.005
RESOLVE_EVERY_S = 5.0  # a listener that was started elsewhere has another address
BIND_RETRY_S = 1.0

log = get_logger("bell")


class Bell:
    """Hears rings at ``host`` and ``port`` (UDP). What is heard for a name that nobody waits for is nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._waiting: dict[bytes, list[_Spaced]] = {}

    @contextmanager
    def heard(self, name: str, wake: Callable[[], None]) -> Iterator[None]:
        """While entered, ``wake`` is called when ``name`` rings. It must not raise and must not wait."""
        waiting, spaced = self._waiting.setdefault(name.encode(), []), _Spaced(wake)
        waiting.append(spaced)
        try:
            yield
        finally:
            waiting.remove(spaced)
            spaced.stop()

    async def run(self) -> NoReturn:
        """Until cancelled. A port that cannot be had is tried again: there is a poll behind every bell."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                bound = await self._bound()  # not by uvloop, which leaks what it cannot bind
            except OSError as error:
                log.warning("bell_unheard", host=self._host, port=self._port, error=str(error))
                await asyncio.sleep(BIND_RETRY_S)
                continue
            transport, ear = await loop.create_datagram_endpoint(lambda: _Ear(self._ring), sock=bound)
            try:
                await ear.lost.wait()
            finally:
                transport.close()

    async def _bound(self) -> socket.socket:
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        bound = socket.socket(found[0][0], socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.bind(found[0][4])
        except BaseException:
            bound.close()
            raise
        return bound

    def _ring(self, name: bytes) -> None:
        for spaced in self._waiting.get(name, ()):
            spaced.call()


class Ringer:
    """Rings ``name`` at all of ``addresses``."""

    def __init__(self, addresses: Sequence[Address], name: str) -> None:
        self._addresses = tuple(addresses)
        self._name = name.encode()
        self._spaced = _Spaced(self._ring)
        self._sockets: dict[int, socket.socket] = {}  # by family
        self._resolved: list[tuple[int, Any]] = []
        self._resolved_at = float("-inf")
        self._resolving: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        """Whether there is anybody to be rung."""
        return bool(self._addresses)

    def set(self) -> None:
        """Ring now, or within EVERY_S."""
        if self._addresses:
            self._spaced.call()

    def close(self) -> None:
        self._spaced.stop()
        if self._resolving is not None:
            self._resolving.cancel()
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()

    def _ring(self) -> None:
        for family, address in self._resolved:
            with suppress(OSError):  # nobody there, or no room to send it: the poll is behind it
                self._socket(family).sendto(self._name, address)
        loop = asyncio.get_running_loop()
        if self._resolving is None and loop.time() - self._resolved_at >= RESOLVE_EVERY_S:
            self._resolving = loop.create_task(self._resolve(), name="bell addresses")

    def _socket(self, family: int) -> socket.socket:
        if family not in self._sockets:
            self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
            self._sockets[family].setblocking(False)
        return self._sockets[family]

    async def _resolve(self) -> None:
        """In the background; when it is done for the first time, who waited for it is rung."""
        loop = asyncio.get_running_loop()
        first, found = not self._resolved, []
        for address in self._addresses:
            with suppress(OSError):
                answers = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
                found += [(int(family), where) for family, _, _, _, where in answers]
        self._resolved, self._resolved_at, self._resolving = found, loop.time(), None
        if first:
            self._ring()


class _Spaced:
    """``act``, now, but never twice within EVERY_S: then once more at its end."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._resting: asyncio.TimerHandle | None = None
        self._again = False

    def call(self) -> None:
        if self._resting is not None:
            self._again = True
            return
        self._resting = asyncio.get_running_loop().call_later(EVERY_S, self._rested)
        self._act()

    def stop(self) -> None:
        self._again = False
        if self._resting is not None:
            self._resting.cancel()

    def _rested(self) -> None:
        self._resting = None
        if self._again:
            self._again = False
            self.call()


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, ring: Callable[[bytes], None]) -> None:
        self.lost = asyncio.Event()
        self._ring = ring

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._ring(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
