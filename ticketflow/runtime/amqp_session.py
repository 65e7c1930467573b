"""One session with RabbitMQ: a connection and its channel, until the first failure.

See ``ticketflow.runtime.amqp`` for the laws.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError, PublishError
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel as RawChannel
from pamqp import commands

from ticketflow.events.topology import Topology
from ticketflow.runtime.amqp_message import Delivery, Outgoing, Published, QueueFacts
from ticketflow.runtime.errors import Indefinite, RuntimeFault, Unavailable

CALL_TIMEOUT_S = 3.0
CONFIRM_TIMEOUT_S = 5.0  # without any confirm; a quorum queue that elects a leader needs one or two seconds
CLOSE_TIMEOUT_S = 2.0
LOST_CLOSE_TIMEOUT_S = 0.1  # to say goodbye costs nothing; to hear it from a dead node would hold up the next session
IN_FLIGHT_MAX = 256  # 64 saturate a quorum queue, more only add latency: this bounds memory, not speed
IDLE_S = 30.0
SUBSCRIPTION_PREFETCH = 10
PERSISTENT = 2


class Session:
    """One connection and its channel. Made by ``Broker``; closed by whoever opened it."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel, raw: RawChannel) -> None:
        self._connection = connection
        self._channel = channel  # aio-pika itself holds channels weakly
        self._raw = raw
        self._arrived = asyncio.Event()  # a delivery, or the end
        self._deliveries: deque[Delivery] = deque()
        self._settled = 0  # publishes that have ended, one way or the other
        self._refused = False  # a message got a nack
        self.lost: str | None = None  # why
        self.node_failed = False  # whether the next session is better opened at another node
        raw.closing.add_done_callback(self._on_closing)
        raw.on_consumer_cancel_callbacks.add(self._on_cancel)

    async def declare(self, topology: Topology) -> None:
        """Declares all of it. Raises Unavailable, also when it exists with other arguments."""
        with unavailable("declaring the topology"):
            async with asyncio.timeout(CALL_TIMEOUT_S * 2):
                for exchange in topology.exchanges:
                    await self._raw.exchange_declare(exchange.name, exchange_type=exchange.kind, durable=True)
                for queue in topology.queues:
                    await self._raw.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
                for binding in topology.bindings:
                    await self._raw.queue_bind(binding.queue, binding.exchange, binding.pattern)

    async def publish(self, messages: Sequence[Outgoing]) -> Published:
        """Publishes in order, many in flight, and waits for every confirm.

        Gives up when the broker confirms nothing for CONFIRM_TIMEOUT_S (unless it has told us that it is blocked: then
        more copies would only add to its trouble), and the session is lost with it: a late confirm must meet nobody.

        A nack ends the session too. The node looks up the queue's leader once a channel; a channel that was opened just
        after the leader had died asks the dead one for ever (RabbitMQ 3.10), and its nack is all we hear of it.
        """
        waiting: deque[asyncio.Task[RuntimeFault | None]] = deque()
        confirmed, failure, position = 0, None, 0
        try:
            while failure is None and confirmed < len(messages):
                while position < len(messages) and len(waiting) < IN_FLIGHT_MAX:
                    waiting.append(asyncio.create_task(self._publish_one(messages[position])))
                    position += 1
                failure = await self._confirmation(waiting[0])
                if failure is None:
                    waiting.popleft()
                    confirmed += 1
            if failure is not None and waiting and self.lost is None:
                # Confirms of later messages are on their way: without them, their second copies would race with them.
                await asyncio.wait(waiting, timeout=CONFIRM_TIMEOUT_S)
            if self._refused:
                self.give_up("a message was refused", node_failed=False)
        finally:
            for task in waiting:
                task.cancel()
            if waiting:
                await asyncio.wait(waiting)
        return Published(confirmed, failure)

    async def _confirmation(self, task: "asyncio.Task[RuntimeFault | None]") -> RuntimeFault | None:
        while not task.done():
            before = self._settled
            await asyncio.wait((task,), timeout=CONFIRM_TIMEOUT_S)
            if not task.done() and self._settled == before and not await self._blocked():
                self.give_up(f"no confirm within {CONFIRM_TIMEOUT_S:g} s")
                return Indefinite(f"RabbitMQ confirmed nothing within {CONFIRM_TIMEOUT_S:g} s")
        return task.result()

    async def _blocked(self) -> bool:
        """Whether the broker has told us that it reads no publishes now (memory or disk alarm)."""
        transport = self._connection.transport
        try:
            async with asyncio.timeout(0):  # ``ready`` returns at once when nothing blocks
                if transport is not None:
                    await transport.ready()
        except TimeoutError:
            return True
        return False

    async def _publish_one(self, message: Outgoing) -> RuntimeFault | None:
        properties = commands.Basic.Properties(
            delivery_mode=PERSISTENT,
            message_id=uuid4().hex,  # unique for each attempt: aiormq finds the returned message by it
            headers=dict(message.headers),
            content_type="application/msgpack",
        )
        try:
            await self._raw.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=True,
                wait=False,
            )
        except PublishError:
            return Unavailable(f"RabbitMQ has no queue for {message.routing_key!r} on {message.exchange!r}")
        except DeliveryError:
            self._refused = True
            return Unavailable("RabbitMQ refused a message (nack): its queue is full or unavailable")
        except asyncio.CancelledError:
            if _cancelled_from_outside():
                raise
            return Indefinite("the channel was closed before the confirm")
        except CONNECTION_EXCEPTIONS as error:
            return Indefinite(f"the channel was lost before the confirm: {error!r}")
        finally:
            self._settled += 1
        return None

    async def consume(self, queue: str, *, prefetch: int) -> None:
        """Registers as a consumer; ``take`` gives what arrives, at most ``prefetch`` unacknowledged."""
        with unavailable("consuming"):
            async with asyncio.timeout(CALL_TIMEOUT_S * 2):
                await self._raw.basic_qos(prefetch_count=prefetch)
                await self._raw.basic_consume(queue, self._on_delivery)

    async def subscribe(self, exchange: str, queue: str, arguments: Mapping[str, str | int | bool]) -> None:
        """Consumes what ``exchange`` gets from now on, by a ``queue`` of our own that goes with this session."""
        with unavailable("subscribing"):
            async with asyncio.timeout(CALL_TIMEOUT_S * 2):
                await self._raw.queue_declare(queue, exclusive=True, auto_delete=True, arguments=dict(arguments))
                await self._raw.queue_bind(queue, exchange)
        await self.consume(queue, prefetch=SUBSCRIPTION_PREFETCH)

    async def take(self, most: int, idle_s: float = IDLE_S) -> list[Delivery]:
        """What has arrived, at most ``most``, in order; none only when nothing came for ``idle_s``.

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
        self.check()
        return [self._deliveries.popleft() for _ in range(min(most, len(self._deliveries)))]

    async def ack(self, tag: int) -> None:
        """Acknowledges this delivery and all before it. Raises Unavailable: they will then be delivered again."""
        self.check()
        with unavailable("acknowledging"):
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._raw.basic_ack(tag, multiple=True)

    async def queue_facts(self, queue: str) -> QueueFacts:
        """Asks on a channel of its own, since a queue that is gone closes the channel. Raises Unavailable."""
        with unavailable(f"looking at {queue}"):
            async with asyncio.timeout(CALL_TIMEOUT_S):
                async with self._connection.channel(publisher_confirms=False) as probe:
                    facts = (await probe.declare_queue(queue, passive=True)).declaration_result
        return QueueFacts(facts.message_count or 0, facts.consumer_count or 0)

    def check(self) -> None:
        """Raises Unavailable when the session is lost."""
        if self.lost is not None:
            raise Unavailable(f"RabbitMQ session lost: {self.lost}")

    def give_up(self, why: str, *, node_failed: bool = True) -> None:
        """Marks the session as lost: whoever waits on it is told, and the broker opens another next time."""
        if self.lost is None:
            self.lost, self.node_failed = why, node_failed
        self._arrived.set()

    async def close(self, why: str = "closed by us") -> None:
        """Never raises, and takes CLOSE_TIMEOUT_S at most. Unacknowledged deliveries go back to the queue."""
        timeout_s = CLOSE_TIMEOUT_S if self.lost is None else LOST_CLOSE_TIMEOUT_S
        self.give_up(why, node_failed=False)
        with suppress(TimeoutError, *CONNECTION_EXCEPTIONS):
            async with asyncio.timeout(timeout_s):
                await self._connection.close()

    def _on_closing(self, closing: "asyncio.Future[object]") -> None:
        error = None if closing.cancelled() else closing.exception()
        self.give_up(f"the channel was closed: {error!r}")

    def _on_cancel(self, frame: commands.Basic.Cancel) -> None:
        self.give_up(f"the broker cancelled our consumer {frame.consumer_tag}")

    async def _on_delivery(self, message: DeliveredMessage) -> None:
        """Runs up to its end without a pause, in a task a message that start in order: so the order is kept."""
        deliver, properties = message.delivery, message.header.properties
        assert isinstance(deliver, commands.Basic.Deliver)
        assert deliver.delivery_tag is not None
        self._deliveries.append(
            Delivery(
                tag=deliver.delivery_tag,
                routing_key=deliver.routing_key or "",
                headers=dict(properties.headers or {}),
                body=message.body,
                redelivered=bool(deliver.redelivered),
            )
        )
        self._arrived.set()


def _cancelled_from_outside() -> bool:
    """aiormq cancels what waits on a channel that closes: that is no cancellation of our task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError as error:
        if _cancelled_from_outside():
            raise
        raise Unavailable(f"RabbitMQ, {what}: the channel was closed") from error
    except TimeoutError as error:
        raise Unavailable(f"RabbitMQ, {what}: no answer in time") from error
    except CONNECTION_EXCEPTIONS as error:
        raise Unavailable(f"RabbitMQ, {what}: {error!r}") from error
