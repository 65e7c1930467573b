"""The whole embedded stack for a bench, and what only a bench asks of it: seats, commit times, CPU by process."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cached_property
from pathlib import Path

import msgspec
import psycopg

from bench.cpu import cpu_s
from bench.ring_load import Load, Report
from bench.run import Run
from stack.seed import create_event
from stack.servers.postgres import PostgresServer
from stack.settings import Settings
from stack.stack import Stack
from tests.support.ring import Ring

SEATS = 50_000
CAUGHT_UP_S = 60.0

# When the portal's row of each sale was last committed: by this server's own record of its transactions.
COMMITTED = """
    SELECT order_id::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM sales
     WHERE event_id = %s AND (%s = '' OR state = %s)"""


class _Postgres(PostgresServer):
    def command(self) -> list[str]:
        return [*super().command(), "-c", "track_commit_timestamp=on"]


class MeasuredStack(Stack):
    """The embedded stack whose Postgres remembers when each transaction was committed."""

    @cached_property
    def postgres(self) -> PostgresServer:
        return _Postgres(self.places.postgres, self.ports.postgres, self.secrets.get("postgres-admin"))


class RingStack:
    """A running stack; ``ring`` has its processes and stores."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU so far, by program."""
        states = self.ring.stack.supervisor.states()
        return cpu_s({name: state.pid for name, state in states.items() if state.pid})

    async def event(self, name: str, seats: int = SEATS) -> tuple[str, list[str]]:
        """A new event of numbered seats: its id and theirs."""
        hall_rows = [{"row": f"R{number}", "seats": 500} for number in range(seats // 500)]
        async with self.ring.shop() as shop:
            venue = (await shop.admin("/api/v1/admin/venues", {"name": name})).expect("a venue")
            wanted = {"venue_id": venue["venue_id"], "name": name, "rows": hall_rows}
            hall = (await shop.admin("/api/v1/admin/halls", wanted)).expect("a hall")
            tiers = [{"name": "Stalls", "price_minor": 4500, "rows": [row["row"] for row in hall_rows]}]
            event_id = await create_event(shop, hall["hall_id"], {"name": name, "tiers": tiers})
        with psycopg.connect(self.ring.dsn("reservation"), autocommit=True) as conn:
            rows = conn.execute("SELECT unit_id::text FROM units WHERE event_id = %s ORDER BY random()", (event_id,))
            ids = [row[0] for row in rows]
            conn.execute("VACUUM ANALYZE units")
        return event_id, ids

    async def load(self, load: Load) -> Report:
        """Runs it in a process of its own."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.ring_load", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate(msgspec.json.encode(load))
        if process.returncode != 0:
            raise RuntimeError(f"the load ended with {process.returncode}")
        return msgspec.json.decode(out, type=Report)

    async def committed(self, event_id: str, count: int, state: str = "") -> Mapping[str, float]:
        """Order id -> when the portal committed its row, s since 1970, once ``count`` are there."""
        until = time.monotonic() + CAUGHT_UP_S
        with psycopg.connect(self.ring.dsn("portal"), autocommit=True) as conn:
            while True:
                sql = "SELECT count(*) FROM sales WHERE event_id = %s AND (%s = '' OR state = %s)"
                row = conn.execute(sql, (event_id, state, state)).fetchone()
                if row is not None and row[0] >= count:
                    return dict(conn.execute(COMMITTED, (event_id, state, state)).fetchall())
                if time.monotonic() > until:
                    raise TimeoutError(f"the portal has {row and row[0]} of {count} sales after {CAUGHT_UP_S:g} s")
                await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def ring_stack(run: Run, made: Callable[[Settings], Stack] = MeasuredStack) -> AsyncIterator[RingStack]:
    """Up, with the portal's commit times kept; removed at the end."""
    with run.folder() as folder:
        ring = Ring(Path(folder) / "ring", made)
        try:
            run.tell("starting the stack")
            with contextlib.redirect_stdout(sys.stderr):
                await asyncio.to_thread(ring.up)
            yield RingStack(ring)
        finally:
            with contextlib.redirect_stdout(sys.stderr):
                await asyncio.to_thread(ring.remove)
