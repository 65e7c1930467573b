"""Free TCP ports on loopback.

All below the range from which the kernel takes ports for outgoing connections: a server that is stopped and started
again in a test must find its port free. Test sessions that run at the same time take different blocks of ports.
"""

import fcntl
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_FIRST, _LAST, _BLOCK = 18000, 31900, 100


class _Ports:
    """Hands out ports from blocks of its own; a lock file, held as long as the process lives, marks each block."""

    def __init__(self) -> None:
        self._left = range(0)
        self._locks: list[IO[str]] = []

    def take(self, count: int) -> range:
        if len(self._left) < count:
            self._left = self._block()
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def _block(self) -> range:
        blocks = list(range(_FIRST, _LAST, _BLOCK))
        random.shuffle(blocks)
        for first in blocks:
            if self._lock(Path(tempfile.gettempdir()) / f"ticketflow-test-ports-{first}.lock"):
                return range(first, first + _BLOCK)
        raise RuntimeError(f"test sessions hold every port from {_FIRST} to {_LAST}")

    def _lock(self, path: Path) -> bool:
        try:
            lock = path.open("a")
        except PermissionError:  # another user's
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._locks.append(lock)
        return True


_ports = _Ports()


def free_port() -> int:
    """A port that nothing listens on, and that nobody was given before."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of ``count`` such ports, one after another; 100 at most."""
    while True:
        taken = _ports.take(count)
        if all(map(_is_free, taken)):
            return taken.start


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
