"""What all faults have in common."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from drills.cluster import Cluster
from drills.errors import NemesisFailed
from drills.faults.nemesis import Nemesis
from drills.faults.targets import Services, Target

AIM_S = 30.0  # a role may be vacant while an election goes on
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Struck:
    """The cluster as faults need it. ``seen``: who has which role, as last seen."""

    cluster: Cluster
    nemesis: Nemesis
    seen: Callable[[], Mapping[str, str]]


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
        """The same fault against services that are known by name. Raises NemesisFailed when nobody takes the role."""
        deadline = time.monotonic() + AIM_S
        while True:
            try:
                return replace(self, target=Services(*self.target.choose(struck.seen(), chance)))
            except NemesisFailed:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(LOOK_AGAIN_S)

    async def inject(self, struck: Struck) -> None:
        raise NotImplementedError

    async def heal(self, struck: Struck) -> None:
        raise NotImplementedError
