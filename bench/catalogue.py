"""All goals, in the order in which `make bench` measures them."""

from bench import apply, idle, relay, ring, ring_model
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*apply.GOALS, *relay.GOALS, *ring.GOALS, *ring_model.GOALS, *idle.GOALS)
