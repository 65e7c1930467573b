"""What is done with a server's own tool rather than to its process."""

from dataclasses import dataclass
from typing import ClassVar

from drills.faults.base import Fault, Struck

PATRONICTL = ("patronictl", "-c", "/run/patroni/config")
RABBITMQCTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
STOP_APP_S = 30.0  # an Erlang node of its own, which takes seconds on a machine that is full
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


@dataclass(frozen=True)
class BrokerStuck(Fault):
    """RabbitMQ stops within its Erlang node: the process lives and serves nobody, as after a start that hangs."""

    name: ClassVar[str] = "broker stuck"

    async def inject(self, struck: Struck) -> None:
        [node] = self.services
        await struck.cluster.exec(node, RABBITMQCTL, "stop_app", timeout_s=STOP_APP_S)

    async def heal(self, struck: Struck) -> None:
        """Nothing: the node's watchdog has to."""
