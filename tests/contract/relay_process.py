"""A relay in a process of its own, to be stopped and measured: ``python -m tests.contract.relay_process JSON``."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.contract.receiving import STREAM
from tests.contract.stores import Store, connected
from tests.support.databases import Database
from tests.support.freezing import freeze
from ticketflow.delivery import Relays
from ticketflow.feed import Address, Limits
from ticketflow.runtime import log

QUICK = {"ping_interval_s": 0.5, "idle_timeout_s": 1.5, "frame_timeout_s": 1.0}


class RelayProcess:
    """Relays the stream of ``store`` to ``port``. ``limits``: of feed.Limits, where they are not the usual ones."""

    def __init__(
        self, store: Store, port: int, owner: str, folder: Path, *, ttl_s: float, limits: dict[str, float] | None = None
    ) -> None:
        self.owner = owner
        self.log = folder / f"{owner}.log"
        said = {
            "store": store.name,
            "database": asdict(store.database),
            "port": port,
            "owner": owner,
            "ttl_s": ttl_s,
            "limits": limits or {},
        }
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.contract.relay_process", json.dumps(said)], stderr=out
            )

    @property
    def rss_bytes(self) -> int:
        """What it holds in memory now."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def freeze(self) -> None:
        """SIGSTOP; returns when it stands still."""
        freeze(self._process.pid)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def said(self, action: str) -> int:
        """How often it logged ``action``."""
        return self.log.read_text().count(f'"action":"{action}"')

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def main(said: dict[str, Any]) -> None:
    log.configure("relay", said["owner"], "info")
    _, pool, dialect = connected(said["store"], Database(**said["database"]))
    await pool.open()
    relays: Relays[Any] = Relays(
        pool,
        dialect,
        stream=STREAM,
        addresses=[Address("127.0.0.1", said["port"])],
        owner=said["owner"],
        limits=Limits(**said["limits"]),
        lease_ttl_s=said["ttl_s"],
    )
    await relays.run()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
