"""``python -m billing web|listener`` as child processes, to be killed."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from billing.settings import DatabaseSettings
from tests.integration.billing.world import ADMIN_KEY, TOKEN_KEY
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.ports import free_port
from tests.support.waiting import wait_until


class BillingProcess:
    """Has no bridge to send to: what it stages stays in the outbox."""

    def __init__(
        self,
        command: str,
        settings: DatabaseSettings,
        provider: ProviderProcess,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
    ) -> None:
        """``environment``: settings besides those that every one has."""
        self.command = command
        self.http = port or free_port()
        self.base = f"http://127.0.0.1:{self.http}"
        self.log = folder / f"{command}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            "PATH": os.environ["PATH"],
            "BILLING_HTTP_PORT": str(self.http),
            "BILLING_FEED_PORT": str(free_port()),
            "BILLING_BRIDGE_FEED": f"127.0.0.1:{free_port()}",
            "BILLING_DATABASE_HOSTS": ",".join(map(str, settings.database_hosts)),
            "BILLING_DATABASE_NAME": settings.database_name,
            "BILLING_DATABASE_USER": settings.database_user,
            "BILLING_DATABASE_PASSWORD": str(settings.database_password),
            "BILLING_PROVIDER_URL": provider.url,
            "BILLING_PROVIDER_KEY": PROVIDER_KEY,
            "BILLING_ADMIN_KEY": ADMIN_KEY,
            "BILLING_HOLD_TOKEN_KEYS": TOKEN_KEY,
            **(environment or {}),
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        self._spawn()
        await wait_until(lambda: self._ready(), timeout_s=30)

    def _spawn(self) -> None:
        command = [sys.executable, "-m", "billing", self.command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> int:
        """The exit code after SIGTERM."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(20)
        self._process = None
        return code

    async def _ready(self) -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"{self.base}/readyz") as response:
            return response.status == 200
