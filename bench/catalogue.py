"""All goals, in the order in which `make bench` measures them."""

from bench import amqp
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*amqp.GOALS,)
