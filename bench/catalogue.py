"""All goals, in the order in which `make bench` measures them."""

from bench import feed, ring, ring_model
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*feed.GOALS, *ring.GOALS, *ring_model.GOALS)
