"""A relay that sleeps for 30 s, with the lease of production, and a receiver that reads nothing for a minute.

One test, so that they wait side by side. What is tested is told where the same is done with shorter times.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from tests.contract.stores import Store, open_store
from tests.contract.test_back_pressure import stalled
from tests.contract.test_fencing import sleep_past_the_lease
from tests.support.databases import create_mariadb, create_postgres, drop_mariadb, drop_postgres
from tests.support.running import RunningServer
from ticketflow.delivery.relay import LEASE_TTL_S

SLEEP_S = 30.0
STALL_S = 60.0

Servers = tuple[RunningServer[PostgresServer], RunningServer[MariaDBServer]]


@asynccontextmanager
async def two_stores(servers: Servers) -> AsyncIterator[tuple[Store, Store]]:
    """Postgres and MariaDB, of a database each that nobody else has."""
    postgres, mariadb = servers[0].server, servers[1].server
    # In threads: DDL of seconds on a busy disk would stop everybody else's transactions in this loop.
    databases = await asyncio.to_thread(create_postgres, postgres), await asyncio.to_thread(create_mariadb, mariadb)
    try:
        async with open_store("postgres", databases[0]) as one, open_store("mariadb", databases[1]) as two:
            yield one, two
    finally:
        await asyncio.to_thread(drop_postgres, postgres, databases[0])
        await asyncio.to_thread(drop_mariadb, mariadb, databases[1])


@pytest.mark.timeout(300)
async def test_half_a_minute_asleep_and_a_minute_stalled(
    postgres_server: RunningServer[PostgresServer],
    mariadb_server: RunningServer[MariaDBServer],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    servers = postgres_server, mariadb_server
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")

    async def asleep(lanes: int, *, backwards: bool) -> None:
        folder = tmp_path / f"asleep-{backwards}"
        folder.mkdir()
        async with two_stores(servers) as (one, two):
            ends = (two, one) if backwards else (one, two)
            await sleep_past_the_lease(
                ends, folder, random.Random(seed), ttl_s=LEASE_TTL_S, pause_s=SLEEP_S, lanes=lanes
            )

    async def reading_nothing() -> None:
        async with two_stores(servers) as ends:
            sizes = await stalled(ends, "it reads nothing", tmp_path, STALL_S)
            before, highest = (f"{size / 2**20:.0f} MiB" for size in sizes)
            told = f"a receiver reads nothing for {STALL_S:.0f} s: its sender holds {highest} at most, {before} before"
            record_property("told", told)

    async with asyncio.TaskGroup() as together:
        together.create_task(asleep(1, backwards=False))
        together.create_task(asleep(2, backwards=True))
        together.create_task(reading_nothing())
