"""All goals, in the order in which `make bench` measures them."""

from bench import holds, ring, ring_model
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*holds.GOALS, *ring.GOALS, *ring_model.GOALS)
