"""What the nemesis can do: faults that describe themselves, strike, and can always be taken back.

    fault = await NodeKilled(Role("postgres primary")).aim(cluster, chance)
    await fault.inject(cluster)
    ...
    await fault.heal(cluster)      # as often as you like

``aim`` turns roles and chances into services, at the moment of asking; ``inject`` and ``heal`` act on services only.
"""

from drills.faults.base import Fault, Struck
from drills.faults.network import CutOff, Slow
from drills.faults.nodes import NodeFrozen, NodeKilled, NodeRestarted, NodeStopped, ProcessKilled
from drills.faults.planned import BrokerStuck, Switchover
from drills.faults.targets import Anyone, Role, Services, Target

__all__ = [
    "Anyone",
    "BrokerStuck",
    "CutOff",
    "Fault",
    "NodeFrozen",
    "NodeKilled",
    "NodeRestarted",
    "NodeStopped",
    "ProcessKilled",
    "Role",
    "Services",
    "Slow",
    "Struck",
    "Switchover",
    "Target",
]
