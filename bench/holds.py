"""Goals of placing holds."""

from bench import holds_hot, holds_placing
from bench.goal import Goal

PLACING = "POST /api/v1/holds through nginx, 32 connections"
PGBENCH = "pgbench calling the same function, 32 clients"

GOALS = (
    Goal(
        "holds",
        f"{PLACING}, two seats that nobody else wants",
        PGBENCH,
        "holds/s",
        "at least",
        1.0,
        holds_placing.against_pgbench,
    ),
    Goal(
        "holds-hot",
        f"{PLACING}, any two of 500 seats until long after the last is gone",
        PGBENCH,
        "decided/s",
        "at least",
        1.0,
        holds_hot.against_pgbench,
    ),
    Goal(
        "holds-fastapi",
        f"{PLACING}, two seats that nobody else wants",
        "the same transaction in FastAPI, uvicorn and a pool of asyncpg",
        "holds/s",
        "at least",
        3.5,
        holds_placing.against_fastapi,
    ),
    Goal(
        "hot-event",
        "10,000 buyers for 500 seats, 512 at a time: until it is sold out and everybody has his answer",
        "a promise of ten seconds",
        "s",
        "at most",
        1.0,
        holds_hot.crowd,
    ),
)
