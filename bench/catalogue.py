"""All goals, in the order in which `make bench` measures them."""

from bench import growth, maps, ring, ring_model
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*ring.GOALS, *ring_model.GOALS, *maps.GOALS, *growth.GOALS)
