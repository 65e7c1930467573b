"""The bridge's end of the feed: every batch goes to RabbitMQ, and is acknowledged once the broker has confirmed it all.

Laws of this file:
- An event is acknowledged only after its confirm; until then this keeps trying, however long the broker is away. What
  waits meanwhile is bounded by the feed's window, and the rest stays in the sender's outbox.
- Publishes go out in the order of the feed, on one channel. After a failure the batch is published again from its first
  unconfirmed event on: consumers see duplicates, and after a lost channel some events before an earlier one.
- After a failure one event goes ahead alone until the broker has confirmed it: a broker in trouble gets no copies of a
  whole batch, and a queue that appears while a batch is under way cannot take its second half without its first.
- A stream may come in several lanes. Their barriers are published like any event: whoever counts seqs finds no hole.
- Nothing is stored: there is no watermark to tell, so the sender goes on after what it knows to be acknowledged; unless
  the portal misses events (see bridge.rewinds).
- A session's first events come behind a notice of where its sender stands, in the same queue.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bridge import metrics
from bridge.rewinds import Rewinds
from bridge.routing import route
from ticketflow.delivery import lane_of
from ticketflow.events import encode
from ticketflow.events.replay import StreamPosition, position_event
from ticketflow.events.topology import EVENTS_EXCHANGE, UNDECODABLE
from ticketflow.feed import Backoff, Code, Hello, Peer, Position, Refusal
from ticketflow.runtime.amqp import Broker, Outgoing
from ticketflow.runtime.errors import Indefinite, RuntimeFault, Unavailable
from ticketflow.runtime.log import get_logger

FAMILIES = frozenset({"billing"})  # with their lanes

log = get_logger("publisher")


@dataclass(frozen=True)
class _Fence:
    epoch: int
    fence: int


class Publisher:
    """A feed ``Receiver``."""

    def __init__(
        self,
        broker: Broker,
        *,
        families: Collection[str] = FAMILIES,
        rewinds: Rewinds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._families = frozenset(families)
        self._rewinds = rewinds or Rewinds()
        self._clock = clock
        self._fences: dict[str, _Fence] = {}  # since the process began: better than nothing, and nothing is stored
        self.opened = asyncio.Event()  # a sender has said HELLO: its position is to be published
        self.trouble: str | None = None  # why events cannot be published now

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        """Takes the streams it was made for, from the newest holder of their lease."""
        if all(lane_of(family, hello.stream) is None for family in self._families):
            raise Refusal(Code.STREAM_UNKNOWN, f"this is a bridge for {', '.join(sorted(self._families))}")
        known = self._fences.get(hello.stream)
        if known is not None and known.epoch == hello.epoch and hello.fence < known.fence:
            raise Refusal(Code.FENCED, f"fence {hello.fence} is older than {known.fence}")
        self._fences[hello.stream] = _Fence(hello.epoch, hello.fence)
        position = self._rewinds.opened(hello, self._clock())
        self.opened.set()
        log.info(
            "bridge_stream_open",
            stream=hello.stream,
            epoch=hello.epoch,
            sender=hello.sender,
            peer=str(peer),
            resumed_after=position.watermark,
        )
        return position

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        """Returns the last seq of the batch, once the broker has confirmed every event of it."""
        last_seq = first_seq + len(bodies) - 1
        notice = self._rewinds.notice(hello.stream, self._clock())
        self._rewinds.received(hello, first_seq, last_seq)
        if notice is not None:
            await self._deliver([_message_of(notice)], first_seq)
            self._noticed(notice)
        with metrics.CONFIRM_SECONDS.time():
            messages = [self._outgoing(hello, first_seq + index, body) for index, body in enumerate(bodies)]
            await self._deliver(messages, first_seq)
        metrics.PUBLISHED.inc(len(bodies))
        self._rewinds.confirmed(hello, last_seq)
        return last_seq

    async def notify(self, stream: str) -> bool:
        """Publishes where the sender stands, when that is due; whether it was. Raises Unavailable or Indefinite."""
        notice = self._rewinds.notice(stream, self._clock())
        if notice is None:
            return False
        session = await self._broker.session()
        published = await session.publish([_message_of(notice)])
        if published.failure is not None:
            raise published.failure
        self._noticed(notice)
        return True

    def _noticed(self, notice: StreamPosition) -> None:
        metrics.NOTICES.inc()
        self._rewinds.noticed(notice.stream, self._clock())

    async def _deliver(self, messages: Sequence[Outgoing], seq: int) -> None:
        """Returns once the broker has confirmed them all. ``seq``: the first one's, for the log."""
        backoff, confirmed = Backoff(), 0
        failure: RuntimeFault | None = None
        while confirmed < len(messages):
            ahead = len(messages) if failure is None else confirmed + 1
            done, failure = await self._attempt(messages[confirmed:ahead])
            confirmed += done
            if done:
                backoff.reset()
            if failure is not None:
                self._note_trouble(failure, seq + confirmed)
                await asyncio.sleep(backoff.next())
        if self.trouble is not None:
            log.info("bridge_publishes_again", seq=seq)
            self.trouble = None
            metrics.STALLED.set(0)

    async def check(self) -> None:
        """Raises Unavailable, with the reason, while events cannot be published."""
        if self.trouble is not None:
            raise Unavailable(self.trouble)
        await self._broker.session()

    async def _attempt(self, messages: Sequence[Outgoing]) -> tuple[int, RuntimeFault | None]:
        try:
            session = await self._broker.session()
            if self.trouble is not None:
                await self._broker.declare()  # a queue or binding may be gone: that too makes publishes fail
            published = await session.publish(messages)
        except (Unavailable, Indefinite) as fault:
            return 0, fault
        return published

    def _outgoing(self, hello: Hello, seq: int, body: bytes) -> Outgoing:
        exchange, routing_key, headers = route(body, stream=hello.stream, epoch=hello.epoch, seq=seq)
        if routing_key == UNDECODABLE:
            metrics.UNDECODABLE.inc()
            log.error("bridge_event_undecodable", stream=hello.stream, seq=seq, reason=headers["reason"])
        return Outgoing(exchange, routing_key, headers, body)

    def _note_trouble(self, failure: RuntimeFault, seq: int) -> None:
        metrics.RETRIES.labels(type(failure).__name__).inc()
        if str(failure) != self.trouble:
            log.warning("bridge_cannot_publish", seq=seq, error=str(failure))
        self.trouble = str(failure)
        metrics.STALLED.set(1)


def _message_of(notice: StreamPosition) -> Outgoing:
    """It has no seq: it is no event of its stream."""
    event = position_event(notice)
    return Outgoing(EVENTS_EXCHANGE, event.kind, {"event_id": event.id, "key": event.key}, encode(event))
