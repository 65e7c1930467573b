"""Replicas as processes of a release, and one store at each end."""

import asyncio
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.skew.releases import Release

STOP_TIMEOUT_S = 30  # a drain has 5 s, on a machine that may stand still for some more


@dataclass
class Replica:
    """One place of a role: a process at a time, of whichever release. ``arguments``: store, stream, and so on."""

    program: str
    name: str
    arguments: tuple[str, ...]
    log: Path
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    async def start(self, release: Release) -> None:
        """Returns when it says that it is ready, and which version of the protocol it has."""
        self.starts += 1
        command = [sys.executable, "-m", f"programs.{self.program}", *self.arguments, self.name]
        environment = {**os.environ, "PYTHONPATH": str(release.tree), "PYTHONDONTWRITEBYTECODE": "1"}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, cwd=release.tree, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        said = await asyncio.wait_for(self.process.stdout.readline(), STOP_TIMEOUT_S)
        assert said == b"ready %d\n" % release.version, (said, self.log.read_text()[-3000:])

    async def stop(self) -> None:
        """As a rolling restart does: SIGTERM, and wait for the end, which must be a good one."""
        assert self.process is not None
        self.process.terminate()
        code = await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S)
        assert code == 0, (code, self.log.read_text()[-3000:])

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass
class Side:
    """The replicas of one role."""

    replicas: list[Replica] = field(default_factory=list)

    async def start(self, release: Release) -> None:
        for replica in self.replicas:
            await replica.start(release)

    async def roll(self, release: Release) -> None:
        """One after another is replaced by one of ``release``."""
        for replica in self.replicas:
            await replica.stop()
            await replica.start(release)

    async def kill(self) -> None:
        for replica in self.replicas:
            await replica.kill()
