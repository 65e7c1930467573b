"""``python -m sandbox provider`` as a child process."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from tests.support.ports import free_port
from tests.support.waiting import wait_until

PROVIDER_KEY = "provider-key"


class ProviderProcess:
    """``environment``: settings besides those that every one has."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = folder / "provider.sqlite"
        self._log = folder / "provider.log"
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "SANDBOX_HTTP_PORT": str(self.port),
            "SANDBOX_PROVIDER_KEY": PROVIDER_KEY,
            "SANDBOX_STATE_PATH": str(self.state),
            **self._environment,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "sandbox", "provider"], env=environment, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(10)

    async def ready(self) -> None:
        await wait_until(lambda: self._answers(), timeout_s=30)

    async def _answers(self) -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/healthz") as response:
            return response.status == 200

    def client(self, *, timeout_s: float = 10) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            self.url,
            headers={"Authorization": f"Bearer {PROVIDER_KEY}"},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )
