"""What all faults have in common."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

from drills.cluster import Cluster
from drills.faults.nemesis import Nemesis
from drills.faults.targets import Services, Target


class Struck(Protocol):
    """The cluster as faults need it."""

    cluster: Cluster
    nemesis: Nemesis

    @property
    def roles(self) -> Mapping[str, str]:
        """As last seen."""


@dataclass(frozen=True)
class Fault:
    """``heal`` takes back what ``inject`` did; it is safe before, after and instead of it, and any number of times."""

    name: ClassVar[str]
    target: Target

    @property
    def services(self) -> tuple[str, ...]:
        """Whom it strikes, once it has been aimed."""
        assert isinstance(self.target, Services), "aim first"
        return self.target.names

    def describe(self) -> str:
        return f"{self.name}: {self.target}"

    async def aim(self, struck: Struck, chance: random.Random) -> Self:
        """The same fault against services that are known by name. Raises NemesisFailed."""
        return replace(self, target=Services(*self.target.choose(struck.roles, chance)))

    async def inject(self, struck: Struck) -> None:
        raise NotImplementedError

    async def heal(self, struck: Struck) -> None:
        raise NotImplementedError
