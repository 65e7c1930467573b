"""One round: every sale of an event, or of all events, twice where the first look finds something."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import pymysql.err

from audit import ledger
from audit.money import read_extras, read_reservation
from audit.money.judge import judge
from audit.money.lateness import lateness_s
from audit.money.limits import DIFFERENCES_MAX, PAGE, SUSPECTS_MAX, Limits
from audit.money.looking import Looking
from audit.money.read_provider import Asking
from audit.money.sides import Difference
from audit.money.stores import Stores, snapshot
from audit.money.suspects import Suspects, twice
from audit.money.totals import EventTotals, Totals
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.mariadb import query

COULD_NOT_LOOK = (Unavailable, Indefinite, OSError, TimeoutError, asyncpg.PostgresError, pymysql.err.Error)


@dataclass
class Outcome:
    """``away``: why something could not be looked at; then what was found may not be all."""

    differences: list[Difference] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    events: Sequence[EventTotals] = ()
    sales: int = 0
    asked: int = 0
    seconds: float = 0.0
    away: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.counts and not self.away

    def note(self, differences: Sequence[Difference]) -> None:
        self.counts.update(one.kind for one in differences)
        self.differences += differences[: DIFFERENCES_MAX - len(self.differences)]


class Round:
    """``rest``: for how long (s) to rest after a page that cost so much CPU (s) here, for who goes round for ever.
    ``whole_ledger``: also check the ledger as a whole, which reads every posting; not for one event."""

    def __init__(
        self,
        stores: Stores,
        asking: Asking,
        limits: Limits,
        *,
        event_id: str | None = None,
        rest: Callable[[float], float] | None = None,
        whole_ledger: bool = True,
    ) -> None:
        self._stores = stores
        self._asking = asking
        self._limits = limits
        self._event_id = event_id
        self._rest = rest
        self._whole_ledger = whole_ledger and event_id is None
        self.looking = Looking(stores, asking, event_id)
        self._late_since = asyncio.get_running_loop().time()

    @property
    def late_s(self) -> float:
        """The age of the oldest event that was on its way when the round began, as old as it was when the last page was
        begun to be read."""
        return self.looking.begun_at - self._late_since

    async def run(self) -> Outcome:
        """Raises nothing that a store or the provider does: that is in ``away``."""
        outcome, begun = Outcome(), asyncio.get_running_loop().time()
        totals = Totals(self._limits)
        for step in (self._sales, self._figures, self._extras, self._ledger):
            try:
                await step(outcome, totals)
            except COULD_NOT_LOOK as error:
                said = f"{type(error).__name__}: {error}"
                if said not in outcome.away:
                    outcome.away.append(said)
        if self._asking.away:
            outcome.away.append(f"the provider: {self._asking.away}")
        outcome.events, outcome.sales, outcome.asked = totals.all(), totals.sales, self._asking.asked
        outcome.seconds = asyncio.get_running_loop().time() - begun
        return outcome

    async def again(self, order_ids: list[str]) -> list[Difference]:
        """What is now to be told of these sales."""
        found: list[Difference] = []
        for at in range(0, len(order_ids), PAGE):
            for deal in await self.looking.deals(order_ids[at : at + PAGE]):
                found += judge(deal, self._limits, self.late_s)
        return found

    async def _sales(self, outcome: Outcome, totals: Totals) -> None:
        self._late_since = asyncio.get_running_loop().time() - await lateness_s(self._stores)
        suspects = Suspects(self._limits.confirm_s)
        used_s = time.process_time()
        async for deals in self.looking.pages():
            totals.add(deals, self.late_s)
            for deal in deals:
                suspects.note(judge(deal, self._limits, self.late_s))
            if len(suspects) >= SUSPECTS_MAX:
                outcome.note(await suspects.confirmed(self.again))
            if self._rest is not None:
                await asyncio.sleep(self._rest(time.process_time() - used_s))
                used_s = time.process_time()
        outcome.note(await suspects.confirmed(self.again))

    async def _figures(self, _: Outcome, totals: Totals) -> None:
        async with self._stores.reservation.transaction(snapshot=True) as conn:
            totals.note_seats(await read_reservation.seats(conn, self._event_id))
        async with snapshot(self._stores.billing) as billing:
            for row in await query(billing, BALANCES, {"event_id": self._event_id}):
                totals.note_ledger(row["account"], row["currency"], int(row["minor"]))

    async def _extras(self, outcome: Outcome, _: Totals) -> None:
        if self._event_id is None:
            outcome.note(await twice(self._webhooks, self._limits.confirm_s))
            outcome.note(await twice(self._topups, self._limits.confirm_s))
        outcome.note(await twice(self._unexplained, self._limits.confirm_s))

    async def _webhooks(self) -> list[Difference]:
        async with snapshot(self._stores.billing) as conn:
            return await read_extras.webhooks(conn, self._limits)

    async def _topups(self) -> list[Difference]:
        found: list[Difference] = []
        after: str | None = ""
        while after is not None:
            async with self._stores.billing.acquire(timeout_s=TOPUPS_S) as conn:
                page, after = await read_extras.topups(conn, self._limits, self._asking, after)
            found = (found + page)[:DIFFERENCES_MAX]
        return found

    async def _unexplained(self) -> list[Difference]:
        found: list[Difference] = []
        after: int | None = 0
        while after is not None:
            async with snapshot(self._stores.billing) as conn:
                page, after = await read_extras.unexplained(conn, self._event_id, after)
            found = (found + page)[:DIFFERENCES_MAX]
        return found

    async def _ledger(self, outcome: Outcome, _: Totals) -> None:
        if not self._whole_ledger:
            return
        async with self._stores.ledger.acquire() as conn:
            faults = await ledger.faults(conn)
        outcome.note([ledger_difference(fault) for fault in faults])


TOPUPS_S = 300.0  # a page of them, when the provider is asked about each

# Of shared accounts the balance is the sum of its parts. Fees have no account of the event: by their entries.
BALANCES = """
    SELECT account, currency, SUM(balance_minor) AS minor FROM ledger_balances
    WHERE %(event_id)s IS NULL AND (account >= 'refunds:' AND account < 'refunds;'
                                    OR account >= 'sales:' AND account < 'sales;')
       OR account IN (CONCAT('refunds:', %(event_id)s), CONCAT('sales:', %(event_id)s))
    GROUP BY account, currency
    UNION ALL
    SELECT CONCAT('fees:', e.event_id), e.currency, SUM(p.amount_minor)
    FROM ledger_entries e JOIN ledger_postings p USING (entry_id)
    WHERE e.cause = 'fee' AND e.event_id IS NOT NULL AND (%(event_id)s IS NULL OR e.event_id = %(event_id)s)
      AND p.account >= 'fees:' AND p.account < 'fees;'
    GROUP BY e.event_id, e.currency
    """


def ledger_difference(fault: ledger.LedgerFault) -> Difference:
    """As the ledger's own check says it: one statement, which sees one moment, so that one look is enough."""
    what = "entry" if fault.kind in ("unbalanced_entry", "wrong_event") else "account"
    ids = ((what, fault.subject), ("currency", fault.currency))
    return Difference(fault.kind, None, None, ids, fault.detail, fault.difference_minor, fault.currency)
