"""The SQL of releasing holds that are released together: as HoldStore.release, for many, each on its own.

Laws: as there. A hold whose row somebody else has locked is not waited for; it is released alone, as are all of a batch
that failed. Places are locked in one order, over all holds.
"""

from collections.abc import Sequence
from typing import NamedTuple

from reservation.batching import Batcher
from reservation.holds import State, Verdict
from reservation.metrics import ENDED
from reservation.refusals import Refused
from reservation.store_holds import COLUMNS, HoldStore, end, facts_of, free_places, told
from ticketflow.delivery import Outbox
from ticketflow.events import HoldReleased
from ticketflow.runtime.correlation import Correlation, bind_correlation, current_correlation
from ticketflow.runtime.errors import Blocked, Indefinite, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying

FLUSHERS = 2
TOGETHER_MAX = 32
QUEUE_MAX = 1024
PATIENCE_S = 0.02
QUEUE_WAIT_S = 2.0

REFUSALS = {Verdict.REFUSE_EXPIRED: "hold_expired", Verdict.REFUSE_SOLD: "hold_sold"}

log = get_logger("holds")


class Asked(NamedTuple):
    """A hold, and under what ids its release is told."""

    hold_id: str
    correlation: Correlation


class Releasing:
    """Gives places back. Safe in any number of replicas."""

    def __init__(self, pool: PostgresPool, outbox: Outbox[Connection], store: HoldStore) -> None:
        self._pool = pool
        self._outbox = outbox
        self._store = store
        self._batcher: Batcher[Asked, bool | None] = Batcher(
            "releasing",
            self._release_together,
            flushers=FLUSHERS,
            batch_max=TOGETHER_MAX,
            queue_max=QUEUE_MAX,
            patience_s=PATIENCE_S,
            wait_s=QUEUE_WAIT_S,
        )

    async def release(self, hold_id: str) -> None:
        """Gives the places back; once more is no error. Raises Refused, TooBusy, Unavailable, Indefinite."""
        released = await self._batcher.ask(Asked(hold_id, current_correlation()))
        if released is None:
            await self._store.release(hold_id)
        elif released:
            ENDED.labels("released").inc()
            log.info("hold_released", hold_id=hold_id)

    async def _release_together(self, batch: Sequence[Asked]) -> Sequence[bool | Exception | None]:
        """Of each hold whether it was released just now; None: to be released alone."""
        try:
            outcomes = await retrying(lambda: self._attempt(batch))
        except Unavailable as fault:
            if not isinstance(fault, Blocked):
                return [Unavailable(str(fault)) for _ in batch]
            log.info("batch_blocked", requests=len(batch), error=str(fault))
        except Indefinite as fault:
            log.warning("commit_unknown", requests=len(batch), error=str(fault))
        except Exception as error:
            log.warning("batch_failed", requests=len(batch), exc_info=error)
        else:
            self._outbox.notify()
            return outcomes
        return [None] * len(batch)

    async def _attempt(self, batch: Sequence[Asked]) -> list[bool | Exception | None]:
        async with self._pool.transaction() as conn:
            rows = await conn.fetch(
                f"""
                SELECT {COLUMNS} FROM holds WHERE hold_id = ANY ($1::uuid[])
                 ORDER BY hold_id FOR NO KEY UPDATE SKIP LOCKED
                """,  # noqa: S608
                [asked.hold_id for asked in batch],
            )
            verdicts = {row["hold_id"]: facts_of(row).rule.release for row in rows}
            first = {asked.hold_id: asked for asked in reversed(batch)}
            freed = [hold_id for hold_id, verdict in verdicts.items() if verdict is Verdict.RELEASE]
            if freed:
                await free_places(conn, freed)
                await end(conn, freed, State.RELEASED)
                events = []
                for hold_id in freed:
                    with bind_correlation(first[hold_id].correlation.id, first[hold_id].correlation.traceparent):
                        events.append(told(HoldReleased(hold_id=hold_id), hold_id))
                await self._outbox.stage(conn, events)
        return [_outcome(verdicts.get(asked.hold_id), first[asked.hold_id] is asked) for asked in batch]


def _outcome(verdict: Verdict | None, first: bool) -> bool | Exception | None:
    """``first``: of those of the batch who asked for this hold."""
    if verdict is None:
        return None
    if verdict in REFUSALS:
        return Refused(REFUSALS[verdict])
    return verdict is Verdict.RELEASE and first
