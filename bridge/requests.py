"""Requests of the portal for events that it misses, heard by every bridge: see bridge.rewinds.

Laws of this file:
- The queue is this process's own and goes with its connection: a request that finds no bridge comes again.
- An order is confirmed by the broker before the session that it is about ends: the sender may go to any bridge next.
- Nothing here holds up the feed; a broker that is away costs a warning.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn
from uuid import uuid4

from bridge import metrics
from bridge.rewinds import Rewinds
from ticketflow.events import BadEvent
from ticketflow.events.replay import Request, Rewind, Seen, Standing, decode_request, encode_request
from ticketflow.events.topology import BRIDGE_QUEUE_ARGUMENTS, BRIDGE_QUEUES, REPLAY_EXCHANGE
from ticketflow.feed import Backoff, FeedServer
from ticketflow.runtime.amqp import Broker, Outgoing, Session
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger

TAKE_MAX = 10

log = get_logger("requests")


class Requests:
    """Hears on a connection of its own. ``feed`` has the live sessions."""

    def __init__(
        self, broker: Broker, feed: FeedServer, rewinds: Rewinds, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._broker = broker
        self._feed = feed
        self._rewinds = rewinds
        self._clock = clock
        self.hearing = False

    async def run(self) -> NoReturn:
        """Until cancelled."""
        backoff = Backoff()
        while True:
            try:
                await self._hear(backoff)
            except (Unavailable, Indefinite) as fault:
                if self.hearing:
                    log.warning("bridge_hears_no_requests", error=str(fault))
            finally:
                self.hearing = False
                await self._broker.close()
            await asyncio.sleep(backoff.next())

    async def tell(self) -> None:
        """Tells the other bridges what they may not know of the senders here. Raises Unavailable or Indefinite."""
        untold = self._rewinds.untold() if self.hearing else []
        if untold:
            session = await self._broker.session()
            messages = [Outgoing(REPLAY_EXCHANGE, seen.stream, {}, encode_request(seen)) for seen in untold]
            failure = (await session.publish(messages)).failure
            if failure is not None:
                raise failure

    async def _hear(self, backoff: Backoff) -> NoReturn:
        session = await self._broker.session()
        await session.subscribe(REPLAY_EXCHANGE, f"{BRIDGE_QUEUES}{uuid4().hex}", BRIDGE_QUEUE_ARGUMENTS)
        self.hearing = True
        backoff.reset()
        while True:
            batch = await session.take(TAKE_MAX)
            for delivery in batch:
                try:
                    request = decode_request(delivery.body)
                except BadEvent as error:
                    log.warning("request_undecodable", error=str(error))
                    continue
                await self._take(session, request)
            if batch:
                await session.ack(batch[-1].tag)

    async def _take(self, session: Session, request: Request) -> None:
        if isinstance(request, Seen):
            self._rewinds.overheard(request)
            return
        live = self._feed.streams.get(request.stream)
        if isinstance(request, Rewind):
            metrics.REWINDS_ORDERED.inc()
            log.warning("rewind_ordered", **_facts(request), ahead=request.ahead, here=live is not None)
            self._rewinds.ordered(request, self._clock())
            if live is not None:
                self._feed.renew(request.stream)
        elif live is not None:
            order = self._rewinds.judged(request, self._clock())
            log.info("replay_asked_for", **_facts(request), highest=request.highest, ordered=order is not None)
            if order is not None:
                published = await session.publish([Outgoing(REPLAY_EXCHANGE, order.stream, {}, encode_request(order))])
                if published.failure is not None:
                    raise published.failure


def _facts(request: Standing | Rewind) -> dict[str, object]:
    return {"stream": request.stream, "epoch": request.epoch, "watermark": request.watermark}
