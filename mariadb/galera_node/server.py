"""The database server as a child process, and what it says of its place in the cluster."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from mariadb.galera_node.position import Position
from mariadb.galera_node.settings import CONFIG, VIEW, Settings

WITH_DATA = ("joined", "synced", "donor")
STRAYS = (b"wsrep_sst", b"rsync")


class Server:
    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = settings
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, at: Position | None, peers: list[str], *, begin: bool) -> None:
        """``peers``: addresses of nodes that are there."""
        VIEW.unlink(missing_ok=True)
        # A donor must hold still. The first by name takes the writes (see proxysql/), so the last one is asked.
        command = [
            "mariadbd",
            f"--defaults-file={CONFIG}",
            f"--wsrep-node-name={self._settings.node}",
            f"--wsrep-node-address={self._address}",
            f"--wsrep-cluster-address=gcomm://{','.join(peers)}",
            f"--wsrep-sst-donor={max(self._settings.peers)},",
        ]
        if at:
            command.append(f"--wsrep-start-position={at}")
        if begin:
            command.append("--wsrep-new-cluster")
        self._process = subprocess.Popen(command)  # noqa: S603 - addresses and numbers of our own

    def exit_code(self) -> int | None:
        return self._process.poll() if self._process else 0

    def stop(self, patience_s: float) -> int:
        """Ends the server, whatever it does, and what it left running. The exit code."""
        assert self._process
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        _end_strays()
        return code

    def view(self) -> tuple[str, bool, str]:
        """Status, whether it belongs to the primary component, and the history."""
        try:
            status, primary, history = VIEW.read_text().split()
        except (FileNotFoundError, ValueError):
            return "none", False, ""
        return status.lower(), primary == "yes", history


def _end_strays() -> None:
    """A server that was killed leaves the scripts of a state transfer, which would go on writing into the data."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            if any(stray in line for stray in STRAYS):
                os.kill(int(entry.name), signal.SIGKILL)
