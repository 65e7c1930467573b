"""All goals, in the order in which `make bench` measures them."""

from bench import apply
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*apply.GOALS,)
