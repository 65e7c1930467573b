"""Goals of placing holds."""

from bench import holds_placing
from bench.goal import Goal

GOALS = (
    Goal(
        "holds",
        "POST /api/v1/holds through nginx: two seats that nobody else wants, 32 connections",
        "pgbench calling the same function, 32 clients",
        "holds/s",
        "at least",
        1.0,
        holds_placing.measure,
    ),
)
