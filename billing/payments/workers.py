"""The listener's workers. Each is ``run_once() -> count``; runtime's loop repeats it.

Any number of listeners may run them: a payment that is due is taken under a row lock, for longer than a step lasts.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from billing.orders.states import PaymentState
from billing.payments.settlements import Settlements, backoff_s
from billing.side_by_side import flowing
from billing.store import keys, work
from billing.store.work import Work
from ticketflow.delivery.outbox import Outbox
from ticketflow.runtime import metrics
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool

AT_ONCE = 24  # each waits for the provider most of the time; more than the pool's connections would wait for those
ROWS_MAX = 1000  # of one run
TAKEN_FOR_S = 6.0  # one call to the provider; a killed worker's payment waits no longer, and two at once do no harm
KEYS_KEPT_S = 2 * 24 * 3600.0  # the promise is 24 h
PURGE_ROWS = 1000

Step = Callable[[Work], Awaitable[None]]

WAITING = metrics.gauge("billing_payments_waiting", "Payments in each state that is not final.", ("state",))
OLDEST = metrics.gauge("billing_payments_oldest_seconds", "Age of the oldest payment in each such state.", ("state",))
STEPS = metrics.counter(
    "billing_payment_steps_total", "Steps taken by workers, by the state they began in.", ("state",)
)
FAILED = metrics.counter(
    "billing_payment_steps_failed_total", "Steps that ended in an error of our own, to be looked at.", ("state",)
)

log = get_logger("workers")


class PaymentWorker:
    """Does ``step`` for the payments in ``state`` that are due."""

    def __init__(self, pool: MariaDBPool, state: PaymentState, step: Step, outbox: Outbox[Any]) -> None:
        self._pool = pool
        self._state = state
        self._step = step
        self._outbox = outbox

    async def run_once(self) -> int:
        """How many were due. Raises the first fault of the store, after every step begun has ended."""
        try:
            return await flowing(self._take, self._one, AT_ONCE, ROWS_MAX)
        finally:
            self._outbox.notify()

    async def _one(self, payment: Work) -> None:
        """A payment that our own code cannot handle must not keep the others from their money."""
        STEPS.labels(self._state).inc()
        try:
            await self._step(payment)
        except (Unavailable, Indefinite):
            raise
        except Exception:
            FAILED.labels(self._state).inc()
            log.exception("payment_step_failed", payment_id=payment.payment_id, order_id=payment.order_id)
            async with self._pool.transaction() as conn:
                await work.postpone(conn, payment.payment_id, payment.state, backoff_s(payment.attempts))
        self._outbox.notify()

    async def _take(self, most: int) -> list[Work]:
        async with self._pool.transaction() as conn:
            return await work.take(conn, self._state, most, TAKEN_FOR_S)


def payment_workers(pool: MariaDBPool, settlements: Settlements, outbox: Outbox[Any]) -> dict[str, PaymentWorker]:
    """By name, with the state each looks after."""
    steps: dict[str, tuple[PaymentState, Step]] = {
        "resolver": (PaymentState.STARTED, settlements.resolve),
        "nudge": (PaymentState.AUTHORIZED, settlements.nudge),
        "capture": (PaymentState.SETTLED, settlements.capture),
        "void": (PaymentState.VOIDING, settlements.void),
        "recheck-failed": (PaymentState.FAILED, settlements.recheck),
        "recheck-voided": (PaymentState.VOIDED, settlements.recheck),
    }
    return {name: PaymentWorker(pool, state, step, outbox) for name, (state, step) in steps.items()}


class KeyPurge:
    """Deletes idempotency keys whose time is over."""

    def __init__(self, pool: MariaDBPool, *, kept_s: float = KEYS_KEPT_S) -> None:
        self._pool = pool
        self._kept_s = kept_s

    async def run_once(self) -> int:
        async with self._pool.transaction() as conn:
            return await keys.purge(conn, self._kept_s, PURGE_ROWS)


class Watch:
    """Tells Prometheus how many payments wait, and for how long. Never has more to do at once."""

    def __init__(self, pool: MariaDBPool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        async with self._pool.acquire() as conn:
            waiting = await work.waiting(conn)
        for state in (PaymentState.STARTED, PaymentState.AUTHORIZED, PaymentState.SETTLED, PaymentState.VOIDING):
            count, age_s = waiting.get(state, (0, 0.0))
            WAITING.labels(state).set(count)
            OLDEST.labels(state).set(age_s)
        WAITING.labels(work.WAITING_FOR_BUYER).set(waiting.get(work.WAITING_FOR_BUYER, (0, 0.0))[0])
        return 0
