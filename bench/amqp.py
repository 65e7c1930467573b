"""RabbitMQ: into it by the bridge, out of it by the portal."""

from bench import amqp_publish
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
)
