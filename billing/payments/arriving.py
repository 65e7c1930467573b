"""A buyer who pays the moment he has his hold may be faster than the event that brings the order here.

His request waits for it, a moment and with many others at most. All who wait share one read now and then, which costs
less than an answer and a second request. Who waits in vain is told `order_not_yet`.
"""

import asyncio
import time

from billing.store import views
from ticketflow.events import is_id, time_of_us
from ticketflow.runtime.mariadb import MariaDBPool

WAIT_S = 1.0  # an order takes some milliseconds; when it takes longer than this, billing is behind
LOOK_S = 0.01  # between two looks, whoever waits
LOOKS_LATE = 10  # after so many in vain for somebody, billing is behind: he is looked for ten times less often
WAITING_MAX = 200  # requests
YOUNG_S = 0.5  # the order of a hold that was placed so lately may still be on its way


class _Waiter:
    def __init__(self, there: "asyncio.Future[bool]") -> None:
        self.there = there
        self.looks = 0

    @property
    def turn(self) -> bool:
        self.looks += 1
        return self.looks <= LOOKS_LATE or self.looks % 10 == 0


class Arrivals:
    def __init__(self, pool: MariaDBPool, *, wait_s: float = WAIT_S, waiting_max: int = WAITING_MAX) -> None:
        self._pool = pool
        self.wait_s = wait_s
        self._waiting_max = waiting_max
        self._waiters: dict[str, list[_Waiter]] = {}  # by order
        self._looking: asyncio.Task[None] | None = None
        self.waiting = 0  # requests

    async def arrived(self, order_id: str) -> bool:
        """Whether the order is here, now or within ``wait_s``; at once False when too many wait. Raises Unavailable."""
        if self.waiting >= self._waiting_max:
            return False
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        self._waiters.setdefault(order_id, []).append(waiter)
        self.waiting += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="arrivals")
        try:
            async with asyncio.timeout(self.wait_s):
                return await waiter.there
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1
            self._waiters[order_id].remove(waiter)
            if not self._waiters[order_id]:
                del self._waiters[order_id]

    async def _look(self) -> None:
        """While anybody waits."""
        try:
            while self._waiters:
                turns = {order_id: [one.turn for one in waiters] for order_id, waiters in self._waiters.items()}
                if wanted := [order_id for order_id, some in turns.items() if any(some)]:
                    async with self._pool.acquire(plain=True) as conn:
                        for order_id in await views.orders_there(conn, wanted):
                            self._tell(order_id)
                await asyncio.sleep(LOOK_S)
        except Exception as error:
            for waiters in self._waiters.values():
                for waiter in waiters:
                    if not waiter.there.done():
                        waiter.there.set_exception(error)
        finally:
            self._looking = None

    def _tell(self, order_id: str) -> None:
        for waiter in self._waiters.get(order_id, ()):
            if not waiter.there.done():
                waiter.there.set_result(True)


def young(order_id: str) -> bool:
    """Whether the hold, whose id is the order's, was placed so lately that its order may not be here yet. Clocks
    differ: this is no more than a guess at what to look at first."""
    return is_id(order_id) and abs(time.time_ns() // 1000 - time_of_us(order_id)) < YOUNG_S * 1e6
