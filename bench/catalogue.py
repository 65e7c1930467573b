"""All goals, in the order in which `make bench` measures them."""

from bench import amqp, apply, feed, growth, holds, idle, maps, relay, ring, ring_model
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (
    *feed.GOALS,
    *holds.GOALS,
    *maps.GOALS,
    *apply.GOALS,
    *amqp.GOALS,
    *relay.GOALS,
    *growth.GOALS,
    *idle.GOALS,
    *ring.GOALS,
    *ring_model.GOALS,
)
