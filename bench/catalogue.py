"""All goals, in the order in which `make bench` measures them."""

from bench import feed
from bench.goal import Goal

GOALS: tuple[Goal, ...] = (*feed.GOALS,)
