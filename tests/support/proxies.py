"""Two small proxies before a server, as HAProxy or ProxySQL in production: each may die, freeze, or lose its server."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.freezing import freeze
from tests.support.ports import free_port

PROGRAM = Path(__file__).with_name("tcp_proxy.py")


class Proxy:
    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.target_port = target_port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, str(PROGRAM), str(self.port), str(self.target_port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"listens\n"

    def kill(self) -> None:
        """SIGKILL: its connections are reset, its port refuses."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, new ones are accepted by the kernel, and nothing is answered."""
        assert self._process is not None
        freeze(self._process.pid)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def lose_its_server(self) -> None:
        """It closes every connection at once, as a proxy does that has no server to go to."""
        self.kill()
        self.target_port = free_port()
        self.start()


@contextmanager
def two_proxies(target_port: int) -> Iterator[tuple[Proxy, Proxy]]:
    one, two = Proxy(target_port), Proxy(target_port)
    try:
        for proxy in (one, two):
            proxy.start()
        yield one, two
    finally:
        for proxy in (one, two):
            proxy.kill()
