"""What all servers have in common."""

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from stack import account, tools
from stack.errors import StackError

PROBE_INTERVAL_S = 0.1


class NotReady(Exception):
    """The server does not answer yet; the message says what was seen."""


class Server(ABC):
    """One server process with a private folder. ``prepare`` is idempotent: it keeps the data it finds."""

    name: ClassVar[str]
    stop_signal: ClassVar[str] = "TERM"
    stop_timeout_s: ClassVar[int] = 20

    def __init__(self, home: Path) -> None:
        self.home = home
        self.user: str | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Makes the folder ready for ``command``. Raises StackError."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command that stays in the foreground."""

    @abstractmethod
    def probe(self) -> None:
        """Returns when the server serves. Raises NotReady."""

    @abstractmethod
    def ports(self) -> Mapping[str, int]:
        """Every port it listens on, by what it is for."""

    def environment(self) -> dict[str, str]:
        """The whole environment of the process: nothing of the caller's may leak in (PGDATA, MYSQL_HOME, ...)."""
        return {"PATH": tools.search_path(), "LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(self.home)}

    def after_stop(self) -> None:  # noqa: B027 - most servers leave nothing behind
        """Ends what the server leaves running when it has stopped."""

    def wait_ready(self, timeout_s: float = 60, alive: Callable[[], bool] = lambda: True) -> None:
        """Returns once it is ready. Raises StackError when it is not in time, or ``alive`` says it has ended."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.probe()
            except NotReady as reason:
                if not alive():
                    raise StackError(f"{self.name} ended while it was starting") from reason
                if time.monotonic() > deadline:
                    raise StackError(f"{self.name} was not ready after {timeout_s:.0f} s: {reason}") from reason
            time.sleep(PROBE_INTERVAL_S)

    def _make_folder(self, path: Path) -> Path:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        account.give(path, self.user)
        return path

    def _write(self, path: Path, text: str) -> Path:
        """A file that only its owner may read, there at once or not at all; it may hold a password."""
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        account.give(fresh, self.user)
        fresh.rename(path)
        return path

    def _run(self, command: Sequence[str], purpose: str) -> None:
        """Runs a preparing command as the server's user. Raises StackError with the line that says why."""
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment(),
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **account.credentials(self.user),
        )
        if done.returncode != 0:
            raise StackError(f"{self.name}: {purpose} failed: {why(done.stdout)}")


def why(said: str) -> str:
    """The line of a failed command's output that tells most: its first error, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "[error]" in line.lower() or "fatal" in line.lower()]
    return (errors or lines[-1:] or ["it said nothing"])[0]
