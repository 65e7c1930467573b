"""A server process of the test session."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Generic, TypeVar

from stack import account
from stack.errors import StackError
from stack.servers.base import Server
from tests.support.freezing import freeze

S = TypeVar("S", bound=Server)

# As the supervisor would: Postgres refuses to start while the children of a killed one still hold its memory.
START_ATTEMPTS = 10
START_PAUSE_S = 0.3


class RunningServer(Generic[S]):
    """Starts, stops, kills and freezes one server; ``start`` returns when it is ready, ``stop`` when it is gone.

    A test that stops or freezes a server must bring it back (``with server.down():`` does): others share it.
    """

    def __init__(self, server: S, log: Path) -> None:
        self.server = server
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = 60) -> None:
        if self.running:
            return
        self.server.prepare()
        for attempts_left in reversed(range(START_ATTEMPTS)):
            try:
                self._start_once(timeout_s)
            except StackError as error:
                if attempts_left == 0 or self.running:
                    raise StackError(f"{error}\n{self.tail()}") from error
                time.sleep(START_PAUSE_S)
            else:
                return

    def _start_once(self, timeout_s: float) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.server.command(),
                env=self.server.environment(),
                cwd=self.server.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **account.credentials(self.server.user),
            )
        self.server.wait_ready(timeout_s, alive=lambda: self.running)

    def stop(self) -> None:
        """As a planned stop: the server closes its sessions and its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.Signals[f"SIG{self.server.stop_signal}"])
            try:
                self._process.wait(self.server.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.server.after_stop()

    def kill(self) -> None:
        """SIGKILL: nothing is closed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        if self._process is not None:
            freeze(self._process.pid)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
