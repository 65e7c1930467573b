"""From the queue to the store: takes what has arrived, has it applied, acknowledges it.

Laws of this file:
- A message is acknowledged only after the transaction that settled it; an ack covers all messages before it.
- A transaction without an answer is repeated, not requeued: dedup keys make that safe, and a requeue would count as a
  redelivery for a message that did nothing wrong.
- While the database is away, messages stay unacknowledged here, at most PREFETCH of them, and nothing is requeued: an
  outage of any length burns none of the queue's delivery limit. A new session is opened only when the database answers.
- A consumer can be deaf and not know it. Someone asks the broker, every WATCH_EVERY_S, whether it knows of one; and
  when nothing has come for IDLE_S the session is renewed: RabbitMQ 3.10 silently moves a consumer whose queue was
  deleted to a new one of that name, counts it there, marks messages as delivered, and never sends them (seen 1 in 8).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NoReturn, Protocol

from portal import metrics
from ticketflow.events.topology import SALES_QUEUE
from ticketflow.feed import Backoff
from ticketflow.runtime.amqp import Broker, Delivery, Session
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger

BATCH_MAX = 500  # messages in a transaction: its own cost is 2 % of theirs then
PREFETCH = 2 * BATCH_MAX  # one batch is applied while the next arrives; all of them come again after a crash
GATHER_S = 0.003  # the broker hands over in pieces what was published together; two transactions cost twice one
WATCH_EVERY_S = 2.0
# RabbitMQ also says "no messages, no consumers" when the queue's leader does not answer within 250 ms. An election
# takes up to 3 s, and a session that is renewed in the middle of it costs 5 s more: so it must say so three times.
LOOKS_WITHOUT_CONSUMER = 3
IDLE_S = 30.0  # how long deafness may last; a renewal takes some 20 ms, in which nothing was happening anyway

log = get_logger("consumer")


class Applies(Protocol):
    async def apply(self, deliveries: Sequence[Delivery]) -> None:
        """Durably settles the messages. Raises Unavailable or Indefinite: give the same again."""


class Consumer:
    """``store_ready`` returns when the database answers, and raises Unavailable when it does not."""

    def __init__(
        self,
        broker: Broker,
        applier: Applies,
        store_ready: Callable[[], Awaitable[None]],
        *,
        queue: str = SALES_QUEUE,
        prefetch: int = PREFETCH,
        idle_s: float = IDLE_S,
    ) -> None:
        self._broker = broker
        self._applier = applier
        self._store_ready = store_ready
        self._queue = queue
        self._prefetch = prefetch
        self._batch_max = min(BATCH_MAX, prefetch)
        self._idle_s = idle_s
        self.trouble: str | None = "not started"  # why nothing is consumed now

    async def run(self) -> NoReturn:
        """Until cancelled. The session is closed then; what was not acknowledged is delivered to the next consumer."""
        backoff = Backoff()
        while True:
            try:
                await self._store_ready()
                await self._session(backoff)
                continue
            except (Unavailable, Indefinite) as fault:
                self._note_trouble(str(fault))
            finally:
                metrics.CONSUMING.set(0)
                await self._broker.close()
            await asyncio.sleep(backoff.next())

    async def check(self) -> None:
        """Raises Unavailable, with the reason, while nothing is consumed."""
        if self.trouble is not None:
            raise Unavailable(self.trouble)

    async def _session(self, backoff: Backoff) -> None:
        """Until nothing has come for some time, or until it is lost: then this raises."""
        session = await self._broker.session()
        await session.consume(self._queue, prefetch=self._prefetch)
        if self.trouble is not None:
            log.info("consumer_registered", queue=self._queue, prefetch=self._prefetch)
            self.trouble = None
        metrics.CONSUMING.set(1)
        watching = asyncio.create_task(self._watch(session), name="consumer-watch")
        try:
            while batch := await session.take(self._batch_max, self._idle_s, gather_s=GATHER_S):
                await self._settle(session, batch)
                await session.ack(batch[-1].tag)
                backoff.reset()
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _settle(self, session: Session, batch: Sequence[Delivery]) -> None:
        """Has the batch applied, however long the database is away; unless the session ends: then it comes again."""
        backoff = Backoff()
        while True:
            try:
                await self._applier.apply(batch)
            except (Unavailable, Indefinite) as fault:
                metrics.STORE_WAITS.labels(type(fault).__name__).inc()
                self._note_trouble(f"the database cannot take events: {fault}")
                session.check()
                await asyncio.sleep(backoff.next())
                continue
            if self.trouble is not None:
                log.info("consumer_goes_on")
                self.trouble = None
            return

    async def _watch(self, session: Session) -> NoReturn:
        """Ends the session when the broker knows of no consumer, or does not answer."""
        without = 0
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                facts = await session.queue_facts(self._queue)
            except Unavailable as fault:
                session.give_up(f"the broker does not answer: {fault}")
                continue
            metrics.QUEUE_MESSAGES.set(facts.messages)
            without = without + 1 if facts.consumers == 0 else 0
            if without == LOOKS_WITHOUT_CONSUMER:
                session.give_up("the broker has no consumer for the queue")

    def _note_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("consumer_waits", reason=trouble)
        self.trouble = trouble
