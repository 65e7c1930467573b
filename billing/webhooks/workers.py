"""The listener's workers for what providers tell us, and for top-ups. Each is ``run_once() -> count``."""

from typing import Any, Protocol

from billing.payments.settlements import Settlements
from billing.providers.port import Provider
from billing.store import topups, webhooks
from billing.store.topups import Topup
from billing.store.webhooks import Waiting
from billing.wallets.topup_steps import TopupSteps
from billing.webhooks.due_worker import DueWorker
from billing.webhooks.inbox import Webhooks
from ticketflow.delivery.outbox import Outbox
from ticketflow.runtime import metrics
from ticketflow.runtime.mariadb import MariaDBPool

WEBHOOKS_KEPT_S = 90 * 24 * 3600.0  # as long as a buyer may well come back about one; what a top-up rests on is kept
PURGE_ROWS = 200  # of up to 256 KiB each

WAITING = metrics.gauge("billing_webhooks_waiting", "Webhooks that are stored and not applied, by state.", ("state",))
OLDEST = metrics.gauge("billing_webhooks_oldest_seconds", "Age of the oldest webhook in each such state.", ("state",))
TOPUPS = metrics.gauge(
    "billing_topups_waiting", "Top-ups that wait for their buyer, or whose money goes back.", ("state",)
)
TOPUPS_LATE = metrics.gauge(
    "billing_topups_late_seconds", "For how long the oldest of them should have been looked at; 0: none.", ("state",)
)


class Worker(Protocol):
    async def run_once(self) -> int: ...


def inbox_workers(
    pool: MariaDBPool, provider: Provider, settlements: Settlements, outbox: Outbox[Any]
) -> dict[str, Worker]:
    """By name."""
    steps = TopupSteps(pool, provider)
    inbox = Webhooks(pool, provider, settlements, steps, outbox)
    one_by_one: DueWorker[Waiting] = DueWorker(
        pool, due=webhooks.due, take=webhooks.take, step=inbox.apply, failed=inbox.failed
    )
    topup_worker: DueWorker[Topup] = DueWorker(
        pool, due=topups.due, take=topups.take, step=steps.step, failed=steps.failed
    )
    return {"webhooks": WebhookWorker(inbox, one_by_one), "topups": topup_worker}


class WebhookWorker:
    def __init__(self, inbox: Webhooks, one_by_one: DueWorker[Waiting]) -> None:
        self._inbox = inbox
        self._one_by_one = one_by_one

    async def run_once(self) -> int:
        """How many were due."""
        return await self._inbox.apply_known() + await self._one_by_one.run_once()


class WebhookPurge:
    """Deletes webhooks that are over and old."""

    def __init__(self, pool: MariaDBPool, *, kept_s: float = WEBHOOKS_KEPT_S) -> None:
        self._pool = pool
        self._kept_s = kept_s

    async def run_once(self) -> int:
        async with self._pool.transaction() as conn:
            return await webhooks.purge(conn, self._kept_s, PURGE_ROWS)


class InboxWatch:
    """Tells Prometheus what waits. Never has more to do at once."""

    def __init__(self, pool: MariaDBPool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        async with self._pool.acquire() as conn:
            waiting, bought = await webhooks.waiting(conn), await topups.waiting(conn)
        for state in webhooks.WAITING:
            count, age_s = waiting.get(state, (0, 0.0))
            WAITING.labels(state).set(count)
            OLDEST.labels(state).set(age_s)
        for name in ("STARTED", "RETURNING"):
            count, late_s = bought.get(name, (0, 0.0))
            TOPUPS.labels(name).set(count)
            TOPUPS_LATE.labels(name).set(max(late_s, 0.0))
        return 0
