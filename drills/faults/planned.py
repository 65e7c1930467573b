"""What operators do on purpose."""

from dataclasses import dataclass
from typing import ClassVar

from drills.faults.base import Fault, Struck

PATRONICTL = ("patronictl", "-c", "/run/patroni/config")
SWITCHOVER_S = 60.0  # Patroni gives up by itself long before


@dataclass(frozen=True)
class Switchover(Fault):
    """The target, which must be the primary, hands over to the standby that Patroni likes best. Returns when it has."""

    name: ClassVar[str] = "switchover"

    async def inject(self, struck: Struck) -> None:
        [primary] = self.services
        await struck.cluster.exec(
            primary, *PATRONICTL, "switchover", "--leader", primary, "--force", timeout_s=SWITCHOVER_S
        )

    async def heal(self, struck: Struck) -> None:
        """Nothing: whoever leads now may go on leading."""
