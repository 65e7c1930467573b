"""The money's way back: what the provider is asked for a refund, and what its answer means.

Laws:
- The refund is committed before the provider hears of it, and no transaction is open while it is asked.
- Refunds of one payment go one after the other (store/refund_work.py). Before a second try the provider is asked how
  much it has given back: if that is more than the finished refunds of the payment, this one has been done. So a
  provider that has forgotten our idempotency key never gives back twice either.
- A refusal is not believed before the provider has been asked for the truth. One that is true ends the tries: REFUSED,
  and a person decides.
- Whoever took longer for a step than the refund was his does not ask for money any more.
"""

import asyncio
from typing import Any

from billing.providers.port import Authorization, Provider, ProviderIndefinite, ProviderUnavailable, Refused
from billing.refunds.deciding import Refunds
from billing.refunds.pacing import Pace
from billing.side_by_side import AT_ONCE, doubled_s, side_by_side
from billing.store import refund_work
from billing.store.refund_work import Taken
from ticketflow.delivery.outbox import Outbox
from ticketflow.runtime import metrics
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.retry import retrying

BATCH_ROWS = 32
CALL_S = 5  # of one call to the provider; a step has three: it reads, gives back and reads again
BACKOFF_S = (1.0, 60.0)

STEPS = metrics.counter("billing_refund_steps_total", "Refunds that a worker has taken up.")
FAILED = metrics.counter(
    "billing_refund_steps_failed_total", "Refunds whose step ended in an error of our own, to be looked at."
)
WAITING = metrics.gauge("billing_refunds_waiting", "Refunds under way, and refused by the provider.", ("state",))
OLDEST = metrics.gauge("billing_refunds_oldest_seconds", "Age of the oldest refund in each such state.", ("state",))

log = get_logger("refunds")


class RefundWorker:
    """Carries out the refunds that are due. ``pace``: of its requests to the provider, all of them."""

    def __init__(
        self, pool: MariaDBPool, refunds: Refunds, provider: Provider, outbox: Outbox[Any], pace: Pace
    ) -> None:
        self._pool = pool
        self._refunds = refunds
        self._provider = provider
        self._outbox = outbox
        self._pace = pace
        self._taken_for_s = 3 * CALL_S + int(3 * AT_ONCE * pace.gap_s) + 1

    async def run_once(self) -> int:
        """How many were due. Raises the first fault of the store, after every step begun has ended."""
        async with self._pool.acquire() as conn:
            due = await refund_work.due(conn, BATCH_ROWS)
        if not due:
            return 0
        try:
            await side_by_side(due, self._next)
        finally:
            self._outbox.notify()
        return len(due)

    async def _next(self, due: tuple[str, str]) -> None:
        ask_until_s = asyncio.get_running_loop().time() + self._taken_for_s - 2 * CALL_S
        taken = await self._take(*due)
        if taken is not None:
            STEPS.inc()
            await self._one(taken, ask_until_s)

    async def _take(self, refund_id: str, order_id: str) -> Taken | None:
        async def attempt() -> Taken | None:
            async with self._pool.transaction() as conn:
                return await refund_work.take(conn, refund_id, order_id, self._taken_for_s)

        return await retrying(attempt)

    async def _one(self, taken: Taken, ask_until_s: float) -> None:
        """A refund that our own code cannot handle must not keep the others from their money."""
        try:
            await self._step(taken, ask_until_s)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            await self._later(taken, str(error))
        except (Unavailable, Indefinite, Retryable):
            raise
        except Exception as error:
            FAILED.inc()
            log.exception("refund_step_failed", refund_id=taken.refund.refund_id, order_id=taken.refund.order_id)
            await self._later(taken, f"{type(error).__name__}: see the log")

    async def _step(self, taken: Taken, ask_until_s: float) -> None:
        refund = taken.refund
        if refund.card_minor == 0:
            await self._refunds.carry_out(refund)
            return
        if taken.provider != self._provider.name or taken.authorization_id is None:
            log.error("refund_elsewhere", refund_id=refund.refund_id, provider=taken.provider)
            raise ProviderUnavailable(f"the payment is {taken.provider}'s, and {self._provider.name} is set up")
        if taken.asked_before and await self._done(taken, taken.authorization_id):
            await self._refunds.carry_out(refund)
            return
        await self._pace.turn()
        if asyncio.get_running_loop().time() > ask_until_s:
            raise ProviderUnavailable("this took too long: somebody else may have it by now")
        try:
            await self._provider.refund(taken.authorization_id, refund.card_minor, key=refund.refund_id)
        except Refused as error:
            if not await self._done(taken, taken.authorization_id):
                await self._refunds.refuse(refund, str(error))
                return
        await self._refunds.carry_out(refund)

    async def _done(self, taken: Taken, authorization_id: str) -> bool:
        """Whether the provider has given this back. Raises ProviderUnavailable."""
        await self._pace.turn()
        return given_back(await self._provider.read(authorization_id), taken.carried_out_minor, taken.refund.card_minor)

    async def _later(self, taken: Taken, error: str) -> None:
        delay_s = backoff_s(taken.refund.attempts - 1)
        log.warning(
            "refund_postponed",
            refund_id=taken.refund.refund_id,
            order_id=taken.refund.order_id,
            attempts=taken.refund.attempts,
            delay_s=delay_s,
            error=error,
        )
        async with self._pool.transaction() as conn:
            await refund_work.postpone(conn, taken.refund, delay_s, error)


class RefundWatch:
    """Tells Prometheus how many refunds wait, and for how long. Never has more to do at once."""

    def __init__(self, pool: MariaDBPool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        async with self._pool.acquire() as conn:
            waiting = await refund_work.waiting(conn)
        for state in ("REQUESTED", "REFUSED"):
            count, age_s = waiting.get(state, (0, 0.0))
            WAITING.labels(state).set(count)
            OLDEST.labels(state).set(age_s)
        return 0


def given_back(found: Authorization | None, carried_out_minor: int, card_minor: int) -> bool:
    """Whether the provider has given back this much more than the finished refunds. Raises ProviderUnavailable for an
    authorisation that it does not know: that is no answer."""
    if found is None:
        raise ProviderUnavailable("the provider does not know the payment")
    return found.refunded_minor - carried_out_minor >= card_minor


def backoff_s(attempts: int) -> float:
    """How long after so many failed tries the next one comes."""
    return doubled_s(attempts, BACKOFF_S)
