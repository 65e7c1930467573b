"""One look for all workers: whether anything is due, and when there will be.

Laws:
- It only wakes: a worker that is woken for nothing finds nothing. What is due is the database's clock's to say.
- What becomes due in its time is looked for in its time; what another process makes due is rung for (runtime's bell),
  and found by a look behind that, LOOK_S late at most. When a look finds what nobody rang for, the bell cannot be
  relied on: for UNHEARD_S there are as many looks as without one.
"""

import asyncio
import random
from collections.abc import Mapping

from billing.store import due
from ticketflow.runtime.mariadb import MariaDBPool

LOOK_S = 2.0
UNHEARD_LOOK_S = 0.25
UNHEARD_S = 60.0
LEAST_S = 0.1  # two looks are this far apart, so that many COMMITs share one
EARLY_S = 0.05  # what is due so soon after it was said to be was expected


class DueWatch:
    """A worker. ``wakes``: an event for each worker of ``due.WAITING``; ``heard``: set when somebody rang, or this
    process has changed something; pass ``idle_s`` to the loop."""

    def __init__(self, pool: MariaDBPool, wakes: Mapping[str, asyncio.Event]) -> None:
        self.heard = asyncio.Event()
        self._pool = pool
        self._wakes = dict(wakes)
        self._rang = False
        self._soonest_s = LOOK_S
        self._expected_at: dict[str, float] = {}
        self._unheard_until = 0.0

    def ring(self) -> None:
        """Look now."""
        self._rang = True
        self.heard.set()

    async def run_once(self) -> int:
        """Never has more to do at once."""
        rang, self._rang = self._rang, False
        async with self._pool.acquire() as conn:
            soonest = await due.soonest(conn)
        now = asyncio.get_running_loop().time()
        for worker, in_s in soonest.items():
            if in_s <= 0:
                if not rang and now < self._expected_at.get(worker, float("inf")) - EARLY_S:
                    self._unheard_until = now + UNHEARD_S
                self._wakes[worker].set()
        self._expected_at = {worker: now + in_s for worker, in_s in soonest.items()}
        self._soonest_s = min(soonest.values(), default=LOOK_S)
        await asyncio.sleep(LEAST_S)  # after the look, so that the first ring of many is heard at once
        return 0

    def idle_s(self) -> float:
        """How long until the next look."""
        unheard = asyncio.get_running_loop().time() < self._unheard_until
        longest_s = UNHEARD_LOOK_S if unheard else LOOK_S * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, no secret
        # What is due stays so until its worker has taken it, or must not take it yet.
        return UNHEARD_LOOK_S if self._soonest_s <= 0 else min(self._soonest_s, longest_s)
