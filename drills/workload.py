"""The crowd: lets buyers in at their times, and keeps what they did.

Open loop: a buyer comes when his plan says so, however many are still inside. Nothing here waits for the shop.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from drills.buyers import Buyer
from drills.clock import Clock
from drills.history import Op
from drills.plans import plans
from drills.seating import Seating
from drills.shop import Shop
from drills.show import Hall

RATE_S = (
    6.0  # purchases: some 25 requests a second, with which two cores that carry the whole topology are not yet full
)


@dataclass
class Ledger:
    """Every Op as it ends, and running figures for who watches."""

    ops: list[Op] = field(default_factory=list)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)  # (action, outcome)
    last_hold_s: float = 0.0  # when the latest hold was acknowledged

    def __call__(self, op: Op) -> None:
        self.ops.append(op)
        self.ended[op.action, op.outcome] += 1
        if op.action == "hold" and op.outcome == "ok":
            self.last_hold_s = op.ended_s


class Workload:
    """``prefix``: the buyers' names begin with it, and nobody else's do."""

    def __init__(self, shop: Shop, hall: Hall, clock: Clock, *, seed: int, prefix: str, rate_s: float = RATE_S) -> None:
        self._shop = shop
        self._hall = hall
        self._clock = clock
        self._plans = plans(seed, rate_s, prefix)
        self._seating = Seating(hall.seats, random.Random(seed))  # noqa: S311 - chance, no secret
        self._visits: set[asyncio.Task[None]] = set()
        self._door: asyncio.Task[None] | None = None
        self._easing = False
        self._broken: BaseException | None = None
        self.arrived = 0
        self.late_s = 0.0  # how late the driver let somebody in, at worst: its own slowness, not the shop's
        self.began_s = 0.0
        self.ended_s = 0.0

    @property
    def inside(self) -> int:
        return len(self._visits)

    def open(self) -> None:
        """Buyers come from now on."""
        self.began_s = self._clock.now()
        self._door = asyncio.create_task(self._let_in(), name="door")

    def ease(self) -> None:
        """From now on nobody leaves a hold to run out, so that the drain need not wait for it."""
        self._easing = True

    async def close(self) -> None:
        """Nobody comes any more; those inside go on."""
        if self._door is not None:
            self._door.cancel()
            await asyncio.gather(self._door, return_exceptions=True)
        self.ended_s = self._clock.now()

    async def finish(self, patience_s: float) -> bool:
        """Waits for those inside. False: some had to be sent away; what they were just asking for is indefinite.

        Raises what went wrong in a visit: a bug of the driver, never an answer of the shop."""
        if self._visits:
            await asyncio.wait(set(self._visits), timeout=patience_s)
        left = set(self._visits)
        for visit in left:
            visit.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._broken is not None:
            raise self._broken
        return not left

    async def _let_in(self) -> None:
        for plan in self._plans:
            due_s = self.began_s + plan.arrives_s
            await asyncio.sleep(max(0.0, due_s - self._clock.now()))
            self.late_s = max(self.late_s, self._clock.now() - due_s)
            self.arrived += 1
            buyer = Buyer(plan.staying() if self._easing else plan, self._shop, self._hall, self._seating)
            visit = asyncio.create_task(buyer.visit(), name=plan.buyer_id)
            self._visits.add(visit)
            visit.add_done_callback(self._left)

    def _left(self, visit: "asyncio.Task[None]") -> None:
        self._visits.discard(visit)
        if not visit.cancelled() and (error := visit.exception()) is not None:
            self._broken = self._broken or error
