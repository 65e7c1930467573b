"""``python -m audit watch``: goes round for ever, tells what it finds by metrics and in its log. Repairs nothing."""

import time
from collections import Counter

from audit.money import stores
from audit.money.kinds import KINDS
from audit.money.limits import PAGE
from audit.money.read_provider import Asking, opened_provider
from audit.money.round import Outcome, Round
from audit.settings import WatchSettings, read_watch
from billing.providers.port import Provider
from ticketflow.runtime import log, metrics
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.service import Exit, Service, run
from ticketflow.runtime.worker import loop

REST = 30.0  # times the CPU of a page here; the stores' share is some four times that, and buyers come first
ROUND_S = 1800.0  # of rests in a round, at most: AuditStale cries after an hour without one
LOGGED_MAX = 50  # differences of a round: the metrics count all, and `python -m audit` names them

DIFFERENCES = metrics.gauge("audit_differences", "Differences that the last round of the auditor has found", ("kind",))
ROUND_SECONDS = metrics.gauge("audit_round_seconds", "How long the last round took")
ROUND_SALES = metrics.gauge("audit_round_sales", "Sales that the last round has looked at")
LAST_ROUND = metrics.gauge("audit_last_round_timestamp_seconds", "When the last round that could look at all ended")
ROUNDS = metrics.counter("audit_rounds_total", "Rounds of the auditor", ("result",))

logger = log.get_logger("audit")


class Watch:
    """A worker. ``run_once`` is one round, and gives 0: there is always a pause before the next."""

    def __init__(self, opened: stores.Stores, provider: Provider | None, settings: WatchSettings) -> None:
        self._stores = opened
        self._provider = provider
        self._settings = settings
        self._ledger_at: float | None = None
        self._pages = 1  # of the last round
        self._of_ledger: Counter[str] = Counter()
        for kind in KINDS:
            DIFFERENCES.labels(kind).set(0)

    async def run_once(self) -> int:
        now = time.monotonic()
        whole = self._ledger_at is None or now >= self._ledger_at + self._settings.ledger_every_s
        limits = self._settings.limits
        asking = Asking(self._provider, limits, "recent")
        outcome = await Round(self._stores, asking, limits, rest=self.rest_s, whole_ledger=whole).run()
        self.note(outcome)
        if whole and not outcome.away:
            self._ledger_at = now
        self.tell(outcome, whole)
        return 0

    def rest_s(self, used_s: float) -> float:
        """After a page that cost ``used_s`` of CPU here."""
        return max(self._settings.page_pause_s, min(REST * used_s, ROUND_S / self._pages))

    def note(self, outcome: Outcome) -> None:
        self._pages = 1 + outcome.sales // PAGE

    def tell(self, outcome: Outcome, whole: bool) -> None:
        """``whole``: it was a round that checked the ledger as a whole; the others keep what that has found."""
        if whole:
            self._of_ledger = Counter({kind: outcome.counts[kind] for kind in WHOLE_LEDGER})
        counts = outcome.counts if whole else outcome.counts | self._of_ledger
        ROUNDS.labels("away" if outcome.away else "complete").inc()
        ROUND_SECONDS.set(outcome.seconds)
        ROUND_SALES.set(outcome.sales)
        for kind in KINDS:
            # Of a round that could not look everywhere, what it did not find is not gone.
            if not outcome.away or counts[kind]:
                DIFFERENCES.labels(kind).set(counts[kind])
        if outcome.away:
            logger.warning("audit_away", away=outcome.away)
        else:
            LAST_ROUND.set_to_current_time()
        for one in outcome.differences[:LOGGED_MAX]:
            logger.error(
                "difference",
                kind=one.kind,
                event_id=one.event_id,
                order_id=one.order_id,
                ids=[f"{what} {id_}" for what, id_ in one.ids],
                detail=one.detail,
            )
        logger.info("audit_round", sales=outcome.sales, seconds=round(outcome.seconds, 1), counts=dict(outcome.counts))


WHOLE_LEDGER = ("unbalanced_entry", "balance_differs", "held_below_zero", "frozen_overdrawn", "wrong_event")


def main() -> int:
    try:
        settings = read_watch()
    except SettingsError as error:
        for problem in error.problems:
            print(f"audit: {problem}")
        return int(Exit.SETTINGS)
    log.configure("audit", settings.instance, settings.log_level)
    return run(lambda service: serve(service, settings), name="audit", instance=settings.instance)


async def serve(service: Service, settings: WatchSettings) -> None:
    server = HttpServer(
        [],
        title="TicketFlow auditor",
        version="1",
        host=settings.http_host,
        port=settings.http_port,
        admin_key=None,
        health=service.health,
    )
    service.on_drain(lambda: server.drain(1), 2)

    async def rounds() -> None:
        async with stores.open_stores(settings) as opened, opened_provider(settings) as provider:
            await loop("audit", Watch(opened, provider, settings).run_once, idle_s=settings.every_s)

    service.run_task("audit", rounds)
    await server.start()
