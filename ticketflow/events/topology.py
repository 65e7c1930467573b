"""Where events live in RabbitMQ: the names and arguments of exchanges, queues and bindings, once.

Laws of this file:
- Data only. Whoever publishes or consumes declares all of it at the start of each session (``runtime.amqp``), so that
  an event is routable before its consumer's first start, and a queue that was deleted by hand comes back.
- Arguments never change for a name that exists: RabbitMQ refuses another declaration (406). A change is a new name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

EVENTS_EXCHANGE = "ticketflow.events"
DEAD_EXCHANGE = "ticketflow.dead"
REPLAY_EXCHANGE = "ticketflow.replay"  # requests to every bridge: see ticketflow.events.replay
SALES_QUEUE = "portal.sales"
SALES_DEAD_QUEUE = "portal.sales.dead"
BRIDGE_QUEUES = "bridge.replay."  # begin of the names of the bridges' own queues, one a process, gone with it
UNDECODABLE = "undecodable"  # the routing key of bytes that are no event: they must reach somebody who parks them

# A lost connection counts one redelivery for every unacknowledged message (up to a whole prefetch), guilty or not, and
# the consumer parks what it cannot apply after attempts of its own. The limit is therefore only the last resort against
# a message that kills the consumer's process, and has to be out of reach of restarts and broken networks: with one
# restart a second it is reached after a quarter of an hour. What it takes out goes to SALES_DEAD_QUEUE, not to nowhere.
DELIVERY_LIMIT = 1000
# Full means that publishes are refused (nack), which holds up the feed, which leaves events in billing's outbox.
# 512 MiB are about two million events.
QUEUE_BYTES_MAX = 512 * 1024 * 1024
# A request that nobody has taken by then is of no use any more: who made it makes another.
REQUEST_TTL_MS = 30_000
REQUESTS_WAITING_MAX = 100
BRIDGE_QUEUE_ARGUMENTS: Mapping[str, str | int | bool] = {
    "x-queue-type": "classic",  # quorum queues cannot be exclusive
    "x-message-ttl": REQUEST_TTL_MS,
    "x-max-length": REQUESTS_WAITING_MAX,  # the oldest goes
}


@dataclass(frozen=True)
class Exchange:
    name: str
    kind: str = "topic"


@dataclass(frozen=True)
class Queue:
    name: str
    arguments: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Binding:
    exchange: str
    queue: str
    pattern: str


@dataclass(frozen=True)
class Topology:
    """Everything durable; nothing is auto-deleted. (The bridges' queues are neither, and not here.)"""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


TOPOLOGY = Topology(
    exchanges=(Exchange(EVENTS_EXCHANGE), Exchange(DEAD_EXCHANGE), Exchange(REPLAY_EXCHANGE, "fanout")),
    queues=(
        Queue(
            SALES_QUEUE,
            {
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,  # one portal at a time: events of a sale are applied in order
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_EXCHANGE,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",  # at-least-once dead-lettering demands it, and so do we: see above
                "x-max-length-bytes": QUEUE_BYTES_MAX,
            },
        ),
        Queue(SALES_DEAD_QUEUE, {"x-queue-type": "quorum"}),
    ),
    bindings=(
        Binding(EVENTS_EXCHANGE, SALES_QUEUE, "#"),
        Binding(DEAD_EXCHANGE, SALES_DEAD_QUEUE, "#"),
    ),
)
