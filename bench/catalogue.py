"""All goals, in the order in which `make bench` measures them."""

from bench import amqp, ring, ring_model
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*amqp.GOALS, *ring.GOALS, *ring_model.GOALS)
