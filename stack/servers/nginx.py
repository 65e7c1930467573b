"""nginx, the front: its configuration is the template in nginx/, which other deployments use too."""

import hashlib
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack import account, tools
from stack.errors import StackError
from stack.servers.base import NotReady, Server

FOLDER = Path(__file__).resolve().parents[2] / "nginx"


class NginxServer(Server):
    """``upstreams``: the addresses of each service's replicas, by RESERVATION, BILLING and PORTAL."""

    name = "nginx"
    stop_signal = "QUIT"  # lets requests that are under way finish

    def __init__(self, home: Path, port: int, upstreams: Mapping[str, Sequence[str]]) -> None:
        super().__init__(home)
        self.port = port
        self.values = {"LISTEN": [f"127.0.0.1:{port}"], **upstreams}

    def ports(self) -> Mapping[str, int]:
        return {"http": self.port}

    def prepare(self) -> None:
        self._make_folder(self.home)
        self._make_folder(self.home / "tmp")
        self._write(self.home / "nginx.conf", self._config())

    def command(self) -> list[str]:
        directives = "daemon off;" + (" user www-data;" if account.is_root() else "")
        # -e: the log that it opens before it has read a configuration lies in a folder of root's by default.
        return [tools.find("nginx"), "-p", f"{self.home}/", "-c", "nginx.conf", "-e", "stderr", "-g", directives]

    def environment(self) -> dict[str, str]:
        """With the configuration's hash: a supervisor that compares programs then sees a change of it."""
        digest = hashlib.sha256(self._config().encode()).hexdigest()[:16]
        return super().environment() | {"TICKETFLOW_CONFIG": digest}

    def probe(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                if b" 200 " not in connection.recv(64):
                    raise NotReady("the port is held by something else")
        except OSError as error:
            raise NotReady(error.strerror or str(error)) from error

    def _config(self) -> str:
        """The template, filled in by what fills it in everywhere."""
        values = {f"TICKETFLOW_{name}": ",".join(values) for name, values in self.values.items()}
        done = subprocess.run(
            [tools.find("awk"), "-f", "render.awk", "nginx.conf"],
            cwd=FOLDER,
            env=super().environment() | values,
            check=False,
            text=True,
            capture_output=True,
        )
        if done.returncode != 0:
            raise StackError(f"nginx.conf cannot be filled in: {done.stderr.strip()}")
        return done.stdout
