"""The nemesis' hands: one privileged container, through which every fault goes that docker's own commands cannot do.

Only docker's rights are needed, so that it works wherever the driver runs, root or not. What is imposed on a network is
remembered here, and imposed again when the container restarts (which gives it a new network namespace): a node that is
cut off stays so until it is healed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from pathlib import Path

from drills.cluster import Cluster
from drills.docker import docker
from drills.errors import DockerFailed, NemesisFailed
from drills.faults.rules import NetworkFault, table

IMAGE = "ticketflow/nemesis"
FOLDER = Path(__file__).parent.parent / "nemesis"
BUILD_S = 300.0
LOOK_S = 0.5  # how long a restarted node may be back on the network before it is cut off again
# Less than `--privileged`, which not every host can give: its namespaces, iptables, other users' processes.
RIGHTS = (
    *("--pid", "host", "--network", "host"),
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-add", "KILL"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
)


class Nemesis:
    """``start`` before, ``stop`` after; in between, the calls of faults. Raises NemesisFailed or DockerFailed."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._name = f"{cluster.project}-nemesis"
        self._imposed: dict[str, dict[str, NetworkFault]] = {}
        self._pids: dict[str, int] = {}
        self._changing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self, *, build: bool = True) -> None:
        """Builds the image (nothing, when it has not changed) and starts the container afresh."""
        if build:
            await docker("build", "--quiet", "--network", "host", "--tag", IMAGE, str(FOLDER), timeout_s=BUILD_S)
        await self._remove()
        await docker("run", "--detach", "--init", "--name", self._name, *RIGHTS, IMAGE, timeout_s=60)
        self._keeper = asyncio.create_task(self._keep(), name="nemesis")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._remove()

    async def signal(self, signal: str, pids: Sequence[int], *, named: str = "") -> None:
        """To the first process of each container, by the host's pid; or to the oldest one called ``named`` in it."""
        if not pids or 0 in pids:
            raise NemesisFailed(f"SIG{signal}: not all of the targets run")
        options = ("--named", named) if named else ()
        await self._do("processes", signal, *map(str, pids), *options)

    async def impose(self, service: str, name: str, fault: NetworkFault) -> None:
        """Adds a fault to the service's network, under a name by which ``lift`` takes it away."""
        async with self._changing:
            self._imposed.setdefault(service, {})[name] = fault
            await self._apply(service)

    async def lift(self, service: str, name: str) -> None:
        """Nothing, when it is not there."""
        async with self._changing:
            imposed = self._imposed.get(service, {})
            if imposed.pop(name, None) is not None:
                await self._apply(service)
            if not imposed:
                self._imposed.pop(service, None)
                self._pids.pop(service, None)

    def reached(self, service: str, pid: int) -> bool:
        """Whether what is imposed on the service holds for the process ``pid``, its present one perhaps."""
        return self._pids.get(service) == pid

    async def heal_all(self) -> None:
        """Every network free, nothing frozen, everything started: whatever was done, in this run or in one before.

        A step that fails keeps none of the others from being done; what failed is raised at the end."""
        failures: list[str] = []

        async def attempt(step: str, work: Awaitable[None]) -> None:
            try:
                await work
            except (DockerFailed, NemesisFailed) as error:
                failures.append(f"{step}: {error}")

        services = await self._cluster.services()
        async with self._changing:
            self._imposed.clear()
            self._pids.clear()
        await attempt("thaw", self._cluster.thaw(services))
        await attempt("clear networks", self._clear_networks(services))
        await attempt("start", self._cluster.start(services))
        if failures:
            raise NemesisFailed("; ".join(failures))

    async def _clear_networks(self, services: Sequence[str]) -> None:
        pids = [pid for pid in (await self._cluster.pids(services)).values() if pid]
        await self._do("network", "idle")
        await self._do("network", "clear", *(word for pid in pids for word in ("--pid", str(pid))), timeout_s=60)

    async def _apply(self, service: str) -> None:
        pid = (await self._cluster.pids([service]))[service]
        if pid:  # else it is imposed as soon as the service runs
            await self._replace(service, pid)
        self._pids[service] = pid

    async def _replace(self, service: str, pid: int) -> None:
        faults = list(self._imposed.get(service, {}).values())
        links = {fault.link for fault in faults if fault.link is not None}
        if len(links) > 1:
            raise NemesisFailed(f"{service} has one slow link already")
        if not faults:
            await self._do("network", "clear", "--pid", str(pid))
        else:
            options = [option for link in links for option in link.options()]
            await self._do("network", "apply", "--pid", str(pid), *options, stdin=table(faults).encode())

    async def _keep(self) -> None:
        """Imposes again what a restart has freed."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._imposed:
                continue
            # What fails now, because the node is just going down or coming up, is done at the next look.
            with contextlib.suppress(DockerFailed, NemesisFailed):
                async with self._changing:
                    for service, pid in (await self._cluster.pids(list(self._imposed))).items():
                        if pid != self._pids.get(service):
                            await self._apply(service)

    async def _do(self, module: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 20) -> None:
        interactive = ("--interactive",) if stdin else ()
        command = ("exec", *interactive, self._name, "python3", "-m", f"drills.nemesis.{module}", *arguments)
        try:
            await docker(*command, stdin=stdin, timeout_s=timeout_s)
        except DockerFailed as error:
            raise NemesisFailed(f"nemesis {module} {' '.join(arguments[:1])}: {error}") from error

    async def _remove(self) -> None:
        with contextlib.suppress(DockerFailed):  # there is none
            await docker("rm", "--force", self._name)
