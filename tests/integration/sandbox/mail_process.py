"""``python -m sandbox mail`` as a child process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.ports import free_port
from tests.support.waiting import wait_until


class MailProcess:
    """``environment``: settings besides those that every one has."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self.smtp_port = free_port()
        self.smtp_url = f"smtp://127.0.0.1:{self.smtp_port}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = folder / "mail.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "SANDBOX_HTTP_PORT": self.url.rpartition(":")[2],
            "SANDBOX_SMTP_PORT": str(self.smtp_port),
            **self._environment,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "sandbox", "mail"], env=environment, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> int:
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(10)
        self._process = None
        return code

    async def ready(self) -> None:
        await wait_until(lambda: self._answers(), timeout_s=30)

    async def mails(self, to: str | None = None) -> list[dict[str, Any]]:
        """The oldest first."""
        query = {"limit": "500"} | ({} if to is None else {"to": to})
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/mails", params=query) as response:
            found: list[dict[str, Any]] = (await response.json())["mails"]
        return found[::-1]

    async def fault(self, kind: str, times: int = 1) -> None:
        body = {"kind": kind, "times": times}
        async with aiohttp.ClientSession() as http, http.post(f"{self.url}/faults", json=body) as response:
            assert response.status == 204

    async def calm(self) -> None:
        async with aiohttp.ClientSession() as http, http.delete(f"{self.url}/faults") as response:
            assert response.status == 204

    async def empty(self) -> None:
        async with aiohttp.ClientSession() as http, http.delete(f"{self.url}/mails") as response:
            assert response.status == 204

    async def _answers(self) -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/healthz") as response:
            return response.status == 200
