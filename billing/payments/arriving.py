"""A buyer who pays the moment he has his hold may be faster than the event that brings the order here.

His request waits for it, a moment and with many others at most: one read now and then costs less than an answer and
a second request. Who waits in vain is told `order_not_yet`.
"""

import asyncio

from billing.store import views
from ticketflow.runtime.mariadb import MariaDBPool

WAIT_S = 1.0  # an order takes some milliseconds; when it takes longer than this, billing is behind
LOOK_S = (0.005, 0.1)  # the first pause between two looks, and the longest
WAITING_MAX = 200  # requests; each costs a connection for a moment at every look


class Arrivals:
    def __init__(self, pool: MariaDBPool, *, wait_s: float = WAIT_S, waiting_max: int = WAITING_MAX) -> None:
        self._pool = pool
        self.wait_s = wait_s
        self._waiting_max = waiting_max
        self.waiting = 0  # requests

    async def arrived(self, order_id: str) -> bool:
        """Whether the order is here, now or within ``wait_s``; at once False when too many wait. Raises Unavailable."""
        if self.waiting >= self._waiting_max:
            return False
        self.waiting += 1
        try:
            return await self._look(order_id)
        finally:
            self.waiting -= 1

    async def _look(self, order_id: str) -> bool:
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + self.wait_s, LOOK_S[0]
        while loop.time() < until:
            await asyncio.sleep(pause_s)
            async with self._pool.acquire() as conn:
                if await views.order_exists(conn, order_id):
                    return True
            pause_s = min(pause_s * 2, LOOK_S[1])
        return False
