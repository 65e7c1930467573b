"""Where drills take place: the running topology, with everything that acts on it or looks at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from drills.audit import Audit
from drills.cluster import Cluster
from drills.faults import Struck
from drills.faults.nemesis import Nemesis
from drills.steadiness import Steadiness


@dataclass(frozen=True)
class Arena:
    """``front``: the URL that buyers use."""

    struck: Struck
    nemesis: Nemesis
    audit: Audit
    steadiness: Steadiness
    front: str
    admin_key: str


@asynccontextmanager
async def entered(project: str, front: str) -> AsyncIterator[Arena]:
    """What a run before has left broken is healed first, and what this one leaves broken at the end."""
    cluster = Cluster(project)
    nemesis = Nemesis(cluster)
    audit = Audit(cluster)
    await nemesis.start(build=False)
    try:
        await nemesis.heal_all()
        await audit.start()
        struck = Struck(cluster, nemesis, lambda: audit.roles)
        yield Arena(struck, nemesis, audit, Steadiness(cluster, audit, front), front, await audit.admin_key())
    finally:
        await audit.stop()
        await nemesis.stop()
