"""RabbitMQ: into it by the bridge, out of it by the portal."""

from bench import amqp_consume, amqp_publish
from bench.goal import Goal

GOALS = (
    Goal(
        "amqp-publish",
        "the bridge publishes the feed's batches to a quorum queue, each event confirmed",
        f"aio-pika with {amqp_publish.WORKERS} workers",
        "events/s",
        "at least",
        2,
        amqp_publish.measure,
    ),
    Goal(
        "amqp-consume",
        "the portal takes a backlog into its tables, many events a transaction and an ack",
        "an aio-pika consumer: the same transaction and an ack for each event",
        "events/s",
        "at least",
        10,
        amqp_consume.measure,
    ),
)
