"""What a batch of messages does to the store: one transaction for many, exactly once in effect.

Laws of this file:
- ``apply`` returns when every message of the batch is durably applied, known from before, ignored or parked. Until then
  none may be acknowledged.
- Unavailable and Indefinite are never a message's fault: ``apply`` raises them, and the same batch may be given again,
  however often; after a COMMIT without an answer the dedup keys tell what has happened.
- When the transaction of many fails for another reason, each half gets one of its own, the first half first, down to
  the message at fault. That one gets ATTEMPTS; then it is parked, and the others flow. (One of 500 costs 20
  transactions so; one for each message would be 500.)
- What commits together: dedup key, projection, the command for reservation in the outbox, the mails that are due to
  the buyer, and the position in the stream.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

import asyncpg

from portal import metrics, store
from portal.asking import Asking
from portal.claiming import Claimed, Item, claim
from portal.mailing import Mailing
from portal.projection import merge_all
from portal.store_fold import fold
from portal.store_together import Together
from portal.tracking import Tracking
from portal.understanding import Fact, Ignored, Meaning, parked, source_of, understand
from ticketflow.delivery import Outbox
from ticketflow.events import SaleSettle
from ticketflow.events.replay import StreamPosition
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool

ATTEMPTS = 3
ATTEMPT_PAUSE_S = 0.05
KINDS_REMEMBERED_MAX = 100  # of ignored kinds, so that each is logged once
MESSAGE_FAULTS = ("22", "23")  # SQLSTATE classes data exception and integrity violation: what the message says is wrong

log = get_logger("applier")


class Applier:
    def __init__(
        self,
        pool: PostgresPool,
        source: str,
        outbox: Outbox[Connection],
        tracking: Tracking | None = None,
        mailing: Mailing | None = None,
    ) -> None:
        """``source``: of the dedup keys, the stream family. ``mailing``: None when nobody is told by mail."""
        self._pool = pool
        self._mailing = mailing
        self._tracking = tracking or Tracking(Asking())
        self._source = source
        self._outbox = outbox
        self._ignored_kinds: set[str] = set()

    async def apply(self, deliveries: Sequence[Delivery]) -> None:
        """Settles all of ``deliveries``. Raises Unavailable or Indefinite: give the same again."""
        with metrics.BATCH_SECONDS.time():
            await self._settle(deliveries)

    async def _settle(self, deliveries: Sequence[Delivery]) -> None:
        if len(deliveries) <= 1:
            for delivery in deliveries:
                await self._apply_one(delivery)
            return
        try:
            await self._transact(deliveries)
            return
        except Exception as error:
            _raise_store_fault(error)
            log.warning("batch_is_split", events=len(deliveries), error=_said(error))
        half = len(deliveries) // 2
        await self._settle(deliveries[:half])
        await self._settle(deliveries[half:])

    async def write(self, conn: Connection, facts: Mapping[str, Fact]) -> list[Fact]:
        """Dedup keys, sales and commands of ``facts`` (by event id), which came by no stream, in the caller's
        transaction; the new ones."""
        return await self._write(conn, facts, await claim(conn, (), facts, self._source))

    async def _write(
        self, conn: Connection, facts: Mapping[str, Fact], claimed: Claimed, together: Together | None = None
    ) -> list[Fact]:
        """With what ``together`` holds already."""
        together = together or Together()
        fresh = [fact for event_id, fact in facts.items() if event_id in claimed.new]
        commands = [fact.command for fact in fresh if fact.command is not None]
        await self._outbox.stage(cast(Connection, together), commands)
        views = merge_all(fact.view for fact in fresh)
        await fold(conn, views, claimed.heads, also=together.parts, mailing=self._mailing)
        return fresh

    async def _apply_one(self, delivery: Delivery) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._transact([delivery])
                return
            except Exception as error:
                _raise_store_fault(error)
                log.exception("event_failed", attempt=attempt, headers=dict(delivery.headers))
                failure = error
            await asyncio.sleep(ATTEMPT_PAUSE_S)
        meaning = understand(delivery)
        envelope = meaning.envelope if isinstance(meaning, Fact) else None
        row = parked(delivery, envelope, "failed", _said(failure), ATTEMPTS)
        source = source_of(delivery, meaning)
        async with self._pool.transaction() as conn:
            courses = (await claim(conn, [source] if source is not None else [], {}, self._source)).courses
            await store.park(conn, [row])
            phantoms = await self._tracking.finish(conn, courses, ())
        self._tracking.tell(courses, phantoms)
        self._tell_parked([row])

    async def _transact(self, deliveries: Sequence[Delivery]) -> None:
        meanings = [understand(delivery) for delivery in deliveries]
        facts = {meaning.envelope.id: meaning for meaning in meanings if isinstance(meaning, Fact)}
        aside = [meaning for meaning in meanings if isinstance(meaning, store.Parked)]
        items = _items(deliveries, meanings)
        fresh: list[Fact] = []
        if facts or aside or items:
            async with self._pool.transaction() as conn:
                claimed, together = await claim(conn, items, facts, self._source), Together()
                rest = await self._tracking.keep(together, claimed.courses, claimed.new)
                fresh = await self._write(conn, facts, claimed, together)
                if aside:
                    await store.park(conn, aside)
                phantoms = await self._tracking.finish(conn, rest, claimed.new)
            self._tracking.tell(claimed.courses, phantoms)
        self._tell(fresh, sum(isinstance(meaning, Fact) for meaning in meanings) - len(fresh))
        self._tell_parked(aside)
        self._tell_ignored([meaning for meaning in meanings if isinstance(meaning, Ignored)])
        metrics.BATCH_EVENTS.observe(len(deliveries))

    def _tell(self, fresh: Sequence[Fact], duplicates: int) -> None:
        """What has been committed, for people and for the relay."""
        metrics.DUPLICATES.inc(duplicates)
        for kind, events in Counter(fact.envelope.kind for fact in fresh).items():
            metrics.APPLIED.labels(kind).inc(events)
        commands = [fact.command for fact in fresh if fact.command is not None]
        settles = sum(command.kind == SaleSettle.kind for command in commands)
        metrics.SETTLES.inc(settles)
        metrics.RETURNS.inc(len(commands) - settles)
        for fact in fresh:
            _tell_applied(fact)
        if commands:
            self._outbox.notify()

    def _tell_parked(self, rows: Sequence[store.Parked]) -> None:
        for row in rows:
            metrics.PARKED.labels(row.reason).inc()
            log.error("event_parked", reason=row.reason, kind=row.kind, event_id=row.event_id, detail=row.detail)

    def _tell_ignored(self, ignored: Sequence[Ignored]) -> None:
        for meaning in ignored:
            metrics.IGNORED.inc()
            if meaning.kind not in self._ignored_kinds and len(self._ignored_kinds) < KINDS_REMEMBERED_MAX:
                self._ignored_kinds.add(meaning.kind)
                log.info("kind_ignored", kind=meaning.kind)


def _tell_applied(fact: Fact) -> None:
    """Its lines carry the event's correlation id; to bind it would cost as much as a line."""
    event, command, order_id = fact.envelope, fact.command, fact.view.order_id
    walk = {"correlation_id": event.correlation_id}
    if event.traceparent is not None:
        walk["traceparent"] = event.traceparent
    log.info("event_applied", kind=event.kind, event_id=event.id, order_id=order_id, **walk)
    if command is not None:
        log.info("command_staged", command=command.kind, event_id=command.id, order_id=order_id, **walk)


def _items(deliveries: Sequence[Delivery], meanings: Sequence[Meaning]) -> list[Item]:
    """What tells of positions in streams, in order."""
    items: list[Item] = []
    for delivery, meaning in zip(deliveries, meanings, strict=True):
        item = meaning if isinstance(meaning, StreamPosition) else source_of(delivery, meaning)
        if item is not None:
            items.append(item)
    return items


def _raise_store_fault(error: Exception) -> None:
    """Raises when the store, its schema or our connection to it is at fault, and not what one message says."""
    if isinstance(error, Unavailable | Indefinite):
        raise error
    if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "")[:2] not in MESSAGE_FAULTS:
        raise Unavailable(_said(error)) from error
    if isinstance(error, asyncpg.InterfaceError | OSError):
        raise Unavailable(_said(error)) from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
