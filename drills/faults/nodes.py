"""Faults of processes and of whole nodes."""

from dataclasses import dataclass
from typing import ClassVar

from drills.faults.base import Fault, Struck


@dataclass(frozen=True)
class ProcessKilled(Fault):
    """SIGKILL, to all at once. By default the first process of each container, which ends with it; its restart policy
    starts it again. ``process``: the oldest of that name instead, such as the postmaster; the container lives on."""

    name: ClassVar[str] = "process killed"
    process: str = ""

    def describe(self) -> str:
        return f"{self.process or 'process'} killed: {self.target}"

    async def inject(self, struck: Struck) -> None:
        pids = await struck.cluster.pids(self.services)
        await struck.nemesis.signal("KILL", list(pids.values()), named=self.process)

    async def heal(self, struck: Struck) -> None:
        """The restart policy is what is being tested; only a container that it has given up is started by hand."""
        found = await struck.cluster.containers()
        await struck.cluster.start([service for service in self.services if found[service].state in ("exited", "dead")])


@dataclass(frozen=True)
class NodeKilled(Fault):
    """SIGKILL by docker: the node is gone until it is healed, as after a power cut. (Its page cache is not lost.)"""

    name: ClassVar[str] = "node killed"

    async def inject(self, struck: Struck) -> None:
        await struck.cluster.kill(self.services)

    async def heal(self, struck: Struck) -> None:
        await struck.cluster.start(self.services)


@dataclass(frozen=True)
class NodeStopped(Fault):
    """A planned stop, with the service's signal and grace; it stays down until it is healed."""

    name: ClassVar[str] = "node stopped"

    async def inject(self, struck: Struck) -> None:
        await struck.cluster.stop(self.services)

    async def heal(self, struck: Struck) -> None:
        await struck.cluster.start(self.services)


@dataclass(frozen=True)
class NodeRestarted(Fault):
    """A planned stop and a start at once. Returns when docker has started it, which is before it is ready."""

    name: ClassVar[str] = "node restarted"

    async def inject(self, struck: Struck) -> None:
        await struck.cluster.restart(self.services)

    async def heal(self, struck: Struck) -> None:
        await struck.cluster.start(self.services)


@dataclass(frozen=True)
class NodeFrozen(Fault):
    """SIGSTOP for every process of the container: its connections stay open, and nothing answers."""

    name: ClassVar[str] = "node frozen"

    async def inject(self, struck: Struck) -> None:
        await struck.cluster.freeze(self.services)

    async def heal(self, struck: Struck) -> None:
        await struck.cluster.thaw(self.services)
