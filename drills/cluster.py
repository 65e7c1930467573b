"""The compose project as docker sees it: containers by service, and what can be done to them.

Containers are found by compose's labels, which v1 and v2 write alike, never by a name. Doing what is done already
(starting what runs, thawing what is not frozen) is no error: healing may be repeated.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drills.docker import docker
from drills.errors import DockerFailed

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NETWORK = "com.docker.compose.network"
ONEOFF = "com.docker.compose.oneoff"  # what `compose run` starts is no part of the cluster
COLUMNS = f'{{{{.ID}}}}\t{{{{.Label "{SERVICE}"}}}}\t{{{{.State}}}}\t{{{{.Status}}}}'
STOP_S = 60.0  # above every stop_grace_period, after which docker itself resorts to SIGKILL


@dataclass(frozen=True)
class Container:
    """``state``: created, running, paused, restarting, exited, dead. ``health``: "" where nothing checks it."""

    id: str
    service: str
    state: str
    health: str = ""

    @property
    def well(self) -> bool:
        return self.state == "running" and self.health in ("", "healthy")

    def __str__(self) -> str:
        return f"{self.service} is {self.state}" + (f" and {self.health}" if self.health else "")


def parse_containers(listing: str) -> dict[str, Container]:
    """By service, from lines in the form of COLUMNS."""
    found = {}
    for line in listing.splitlines():
        identifier, service, state, status = line.split("\t")
        found[service] = Container(identifier, service, state, _health(status))
    return found


def _health(status: str) -> str:
    """Of docker's own words, such as `Up 5 minutes (healthy)` or `Up 2 seconds (health: starting)`."""
    for health in ("unhealthy", "healthy", "health: starting"):
        if f"({health})" in status:
            return health.removeprefix("health: ")
    return ""


class Cluster:
    """The services of one compose project. Every call raises DockerFailed when docker will not do it."""

    def __init__(self, project: str = "ticketflow") -> None:
        self.project = project
        self._ids: dict[str, str] = {}

    async def containers(self) -> dict[str, Container]:
        """Every container of the project, by service, jobs that have ended included."""
        listing = await docker(
            *("ps", "--all", "--no-trunc", "--format", COLUMNS),
            *("--filter", f"label={PROJECT}={self.project}", "--filter", f"label={ONEOFF}=False"),
        )
        found = parse_containers(listing)
        self._ids = {service: container.id for service, container in found.items()}
        return found

    async def ids(self, services: Iterable[str]) -> list[str]:
        """Container ids in the order of ``services``. A container keeps its id when it restarts."""
        wanted = list(services)
        if not set(wanted) <= set(self._ids):
            await self.containers()
        missing = sorted(set(wanted) - set(self._ids))
        if missing:
            raise DockerFailed(f"project {self.project} has no {', '.join(missing)}")
        return [self._ids[service] for service in wanted]

    async def services(self, *prefixes: str) -> list[str]:
        """Those that are kept running and whose name begins with one of ``prefixes`` (all without any), sorted."""
        listing = await docker(
            *("ps", "--all", "--no-trunc", "--quiet", "--filter", f"label={PROJECT}={self.project}"),
            *("--filter", f"label={ONEOFF}=False"),
        )
        if not listing.split():
            return []
        policy = f'{{{{index .Config.Labels "{SERVICE}"}}}} {{{{.HostConfig.RestartPolicy.Name}}}}'
        lines = (await docker("inspect", "--format", policy, *listing.split())).splitlines()
        kept = [line.split()[0] for line in lines if line.split()[1] not in ("no", "")]
        return sorted(service for service in kept if not prefixes or service.startswith(prefixes))

    async def pids(self, services: Iterable[str]) -> dict[str, int]:
        """The host's pid of each container's first process; 0 where none runs."""
        wanted = list(services)
        if not wanted:
            return {}
        lines = await docker("inspect", "--format", "{{.State.Pid}}", *await self.ids(wanted))
        return dict(zip(wanted, map(int, lines.split()), strict=True))

    async def addresses(self, name: str) -> list[str]:
        """Of a service: its addresses, one a network. Of a network: its subnet."""
        networks = await docker(
            *("network", "ls", "--quiet", "--filter", f"label={PROJECT}={self.project}"),
            *("--filter", f"label={NETWORK}={name}"),
        )
        if networks.split():
            shown = await docker(
                "network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", *networks.split()
            )
        else:
            shown = await docker(
                *("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"),
                *await self.ids([name]),
            )
        found = shown.split()
        if not found:
            raise DockerFailed(f"{name} has no address: it does not run")
        return [str(ipaddress.ip_network(address)) for address in found]

    # -- what people would do by hand

    async def exec(self, service: str, *command: str, timeout_s: float = 20) -> str:
        """What ``command`` prints inside the container."""
        [identifier] = await self.ids([service])
        return await docker("exec", identifier, *command, timeout_s=timeout_s)

    async def kill(self, services: Sequence[str]) -> None:
        """SIGKILL by docker's hand: restart policies do not fire, it stays down until ``start``."""
        await self._do("kill", services)

    async def start(self, services: Sequence[str]) -> None:
        await self._do("start", services)

    async def stop(self, services: Sequence[str]) -> None:
        """With the service's own stop signal and grace."""
        await self._do("stop", services, timeout_s=STOP_S)

    async def restart(self, services: Sequence[str]) -> None:
        await self._do("restart", services, timeout_s=STOP_S)

    async def freeze(self, services: Sequence[str]) -> None:
        await self._do("pause", services)

    async def thaw(self, services: Sequence[str]) -> None:
        """Only those that are frozen: docker calls the rest an error."""
        found = await self.containers()
        await self._do("unpause", [service for service in services if found[service].state == "paused"])

    async def _do(self, verb: str, services: Sequence[str], timeout_s: float = 20) -> None:
        if services:
            await docker(verb, *await self.ids(services), timeout_s=timeout_s)
