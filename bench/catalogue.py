"""All goals, in the order in which `make bench` measures them."""

from bench import holds
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*holds.GOALS,)
