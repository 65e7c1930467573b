"""Whom a fault strikes: services by name, whoever has a role, or one of several by chance.

Pure: the roles come in as they were last seen, the chance as a seeded generator.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from drills.errors import NemesisFailed


class Target(Protocol):
    def choose(self, roles: Mapping[str, str], chance: random.Random) -> tuple[str, ...]:
        """The services. Raises NemesisFailed when nobody has the role."""

    def __str__(self) -> str: ...


@dataclass(frozen=True, init=False)
class Services:
    """Exactly these, all of them."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)

    def choose(self, roles: Mapping[str, str], chance: random.Random) -> tuple[str, ...]:
        return self.names

    def __str__(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True)
class Role:
    """Whoever has it, be it one service or several: ``postgres primary``, ``postgres standbys``, ``galera writer``."""

    name: str

    def choose(self, roles: Mapping[str, str], chance: random.Random) -> tuple[str, ...]:
        holders = tuple(roles.get(self.name, "").split())
        if not holders:
            raise NemesisFailed(f"nobody is seen to be {self.name}; seen are {', '.join(sorted(roles)) or 'no roles'}")
        return holders

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Anyone:
    """One of those that ``among`` names, by chance."""

    among: Target

    def choose(self, roles: Mapping[str, str], chance: random.Random) -> tuple[str, ...]:
        return (chance.choice(self.among.choose(roles, chance)),)

    def __str__(self) -> str:
        return f"one of {self.among}"
