"""Faults of the network between nodes that all live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from drills.cluster import Cluster
from drills.faults import rules
from drills.faults.base import Fault, Struck
from drills.faults.rules import Direction, Link, NetworkFault

WAYS = {"both": "cut off", "in": "hears nothing", "out": "is not heard"}


@dataclass(frozen=True)
class _NetworkFault(Fault):
    async def inject(self, struck: Struck) -> None:
        for service in self.services:
            await struck.nemesis.impose(service, self.describe(), await self._rules(struck.cluster, service))

    async def heal(self, struck: Struck) -> None:
        for service in self.services:
            await struck.nemesis.lift(service, self.describe())

    async def _rules(self, cluster: Cluster, service: str) -> NetworkFault:
        raise NotImplementedError


@dataclass(frozen=True)
class CutOff(_NetworkFault):
    """Packets are lost, silently. ``toward``: only those from and to these services or networks of compose (a network's
    name is a tier's); without it nothing but loopback is left. ``direction``: seen from the target."""

    name: ClassVar[str] = "cut off"
    toward: tuple[str, ...] = ()
    direction: Direction = "both"

    def describe(self) -> str:
        peers = f" (toward {', '.join(self.toward)})" if self.toward else ""
        return f"{WAYS[self.direction]}{peers}: {self.target}"

    async def _rules(self, cluster: Cluster, service: str) -> NetworkFault:
        return rules.cut(await _addresses(cluster, self.toward), self.direction)


@dataclass(frozen=True)
class Slow(_NetworkFault):
    """What leaves the targets is late, or lost; what they get comes at once. To slow both directions of a connection
    name both of its ends. ``toward``: only what goes to these services or networks. ``ports``: only TCP that goes to,
    or comes from, one of these."""

    name: ClassVar[str] = "slow network"
    toward: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    delay_ms: float = 200
    jitter_ms: float = 50
    loss: float = 0.1
    seed: int = 0

    def describe(self) -> str:
        where = f" toward {', '.join(self.toward)}" if self.toward else ""
        where += f" on port {', '.join(map(str, self.ports))}" if self.ports else ""
        return f"{self.delay_ms:g} ms +-{self.jitter_ms:g} and {self.loss:.0%} loss{where}: {self.target}"

    async def _rules(self, cluster: Cluster, service: str) -> NetworkFault:
        link = Link(self.delay_ms, self.jitter_ms, self.loss, self.seed)
        return rules.slow(link, await _addresses(cluster, self.toward), self.ports)


async def _addresses(cluster: Cluster, names: Sequence[str]) -> list[str]:
    return [address for name in names for address in await cluster.addresses(name)]
