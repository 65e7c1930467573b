"""All goals, in the order in which `make bench` measures them."""

from bench import growth, maps
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*maps.GOALS, *growth.GOALS)
