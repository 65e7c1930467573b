"""One session with RabbitMQ: a connection and its channel, until the first failure.

See ``ticketflow.runtime.amqp`` for the laws.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from pamqp import commands

from ticketflow.events.topology import Topology
from ticketflow.runtime.amqp_channel import Closed
from ticketflow.runtime.amqp_connection import Connection
from ticketflow.runtime.amqp_content import acknowledged
from ticketflow.runtime.amqp_message import Delivery, Outgoing, Published, QueueFacts
from ticketflow.runtime.amqp_publishing import Publishing
from ticketflow.runtime.errors import Unavailable

CALL_TIMEOUT_S = 3.0
CLOSE_TIMEOUT_S = 2.0
LOST_CLOSE_TIMEOUT_S = 0.1  # to say goodbye costs nothing; to hear it from a dead node would hold up the next session
IDLE_S = 30.0
FEW = 64  # deliveries: who has more of them needs no company
BUSY_S = 0.05  # for so long after the last ones what comes is taken for a part of many
SUBSCRIPTION_PREFETCH = 10


class Session:
    """Made by ``opened``, for ``Broker``; closed by whoever opened it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = connection.channel(self)
        self._publishing = Publishing(connection, self._channel.number, self._given_up)
        self._arrived = asyncio.Event()  # a delivery, or the end
        self._took_at = float("-inf")  # by the loop's clock
        self._deliveries: deque[Delivery] = deque()
        self.lost: str | None = None  # why
        self.node_failed = False  # whether the next session is better opened at another node

    @classmethod
    async def opened(cls, connection: Connection) -> "Session":
        """On a channel of its own, with confirms. Raises OSError."""
        session = cls(connection)
        connection.on_flow = session._publishing.look
        await session._channel.open()
        await session._channel.call(commands.Confirm.Select(), commands.Confirm.SelectOk)
        return session

    async def declare(self, topology: Topology) -> None:
        """Declares all of it. Raises Unavailable, also when it exists with other arguments."""
        call = self._channel.call
        with unavailable("declaring the topology"):
            async with asyncio.timeout(CALL_TIMEOUT_S * 2):
                for exchange in topology.exchanges:
                    await call(
                        commands.Exchange.Declare(exchange=exchange.name, exchange_type=exchange.kind, durable=True),
                        commands.Exchange.DeclareOk,
                    )
                for queue in topology.queues:
                    await call(
                        commands.Queue.Declare(queue=queue.name, durable=True, arguments=dict(queue.arguments)),
                        commands.Queue.DeclareOk,
                    )
                for binding in topology.bindings:
                    await self._bind(binding.queue, binding.exchange, binding.pattern)

    async def publish(self, messages: Sequence[Outgoing]) -> Published:
        """Publishes in order, many in flight, and waits for every confirm.

        Gives up when the broker confirms nothing for CONFIRM_TIMEOUT_S (unless it has told us that it is blocked: then
        more copies would only add to its trouble), and the session is lost with it: a late confirm must meet nobody.

        A nack ends the session too. The node looks up the queue's leader once a channel; a channel that was opened just
        after the leader had died asks the dead one for ever (RabbitMQ 3.10), and its nack is all we hear of it.

        Raises ValueError, and publishes none of those that had not gone out, when a name has more than 255 bytes.
        """
        return await self._publishing.publish(messages)

    async def consume(self, queue: str, *, prefetch: int) -> None:
        """Registers as a consumer; ``take`` gives what arrives, at most ``prefetch`` unacknowledged."""
        with unavailable("consuming"):
            async with asyncio.timeout(CALL_TIMEOUT_S * 2):
                await self._channel.call(commands.Basic.Qos(prefetch_count=prefetch), commands.Basic.QosOk)
                await self._channel.call(commands.Basic.Consume(queue=queue), commands.Basic.ConsumeOk)

    async def subscribe(self, exchange: str, queue: str, arguments: Mapping[str, str | int | bool]) -> None:
        """Consumes what ``exchange`` gets from now on, by a ``queue`` of our own that goes with this session."""
        declare = commands.Queue.Declare(queue=queue, exclusive=True, auto_delete=True, arguments=dict(arguments))
        with unavailable("subscribing"):
            async with asyncio.timeout(CALL_TIMEOUT_S * 2):
                await self._channel.call(declare, commands.Queue.DeclareOk)
                await self._bind(queue, exchange, "")
        await self.consume(queue, prefetch=SUBSCRIPTION_PREFETCH)

    async def take(self, most: int, idle_s: float = IDLE_S, *, gather_s: float = 0.0) -> list[Delivery]:
        """What has arrived, at most ``most``, in order; none only when nothing came for ``idle_s``. ``gather_s``: for
        how long, where others came shortly before, a few wait for those that were published with them.

        Raises Unavailable once the session is lost.
        """
        loop = asyncio.get_running_loop()
        idle_at = loop.time() + idle_s
        timer = loop.call_at(idle_at, self._arrived.set)
        try:
            while not self._deliveries and self.lost is None and loop.time() < idle_at:
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            timer.cancel()
        if len(self._deliveries) < FEW and loop.time() < self._took_at + BUSY_S:
            await asyncio.sleep(gather_s)
        self._took_at = loop.time()
        self.check()
        return [self._deliveries.popleft() for _ in range(min(most, len(self._deliveries)))]

    async def ack(self, tag: int) -> None:
        """Acknowledges this delivery and all before it. Raises Unavailable: they will then be delivered again."""
        self.check()
        self._connection.write(acknowledged(tag, self._channel.number))

    async def queue_facts(self, queue: str) -> QueueFacts:
        """Asks on a channel of its own, since a queue that is gone closes the channel. Raises Unavailable."""
        with unavailable(f"looking at {queue}"):
            async with asyncio.timeout(CALL_TIMEOUT_S):
                probe = self._connection.channel()
                await probe.open()
                look = commands.Queue.Declare(queue=queue, passive=True)
                try:
                    facts = await probe.call(look, commands.Queue.DeclareOk)
                except Closed:  # by the broker: there is no such queue
                    self._connection.forget(probe)
                    raise
                await self._connection.close_channel(probe)
        return QueueFacts(facts.message_count or 0, facts.consumer_count or 0)

    def check(self) -> None:
        """Raises Unavailable when the session is lost."""
        if self.lost is not None:
            raise Unavailable(f"RabbitMQ session lost: {self.lost}")

    def give_up(self, why: str, *, node_failed: bool = True) -> None:
        """Marks the session as lost: whoever waits on it is told, and the broker opens another next time."""
        if self.lost is None:
            self.lost, self.node_failed = why, node_failed
            self._publishing.end(why)
        self._arrived.set()

    async def close(self, why: str = "closed by us") -> None:
        """Never raises, and takes CLOSE_TIMEOUT_S at most. Unacknowledged deliveries go back to the queue."""
        timeout_s = CLOSE_TIMEOUT_S if self.lost is None else LOST_CLOSE_TIMEOUT_S
        self.give_up(why, node_failed=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._connection.close()

    async def _bind(self, queue: str, exchange: str, pattern: str) -> None:
        bind = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=pattern)
        await self._channel.call(bind, commands.Queue.BindOk)

    def _given_up(self, why: str, node_failed: bool) -> None:
        self.give_up(why, node_failed=node_failed)

    # -- what the channel tells

    def on_delivery(self, delivery: Delivery) -> None:
        self._deliveries.append(delivery)
        self._arrived.set()

    def on_settled(self, tag: int, *, multiple: bool, acked: bool) -> None:
        self._publishing.settled(tag, multiple=multiple, acked=acked)

    def on_returned(self, message_id: str, exchange: str, routing_key: str) -> None:
        self._publishing.returned(message_id, exchange, routing_key)

    def on_cancelled(self, consumer: str) -> None:
        self.give_up(f"the broker cancelled our consumer {consumer}")

    def on_closed(self, error: Closed) -> None:
        self.give_up(f"the channel was closed: {error}")


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Unavailable(f"RabbitMQ, {what}: no answer in time") from error
    except OSError as error:
        raise Unavailable(f"RabbitMQ, {what}: {error!r}") from error
