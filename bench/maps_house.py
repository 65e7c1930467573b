"""One replica of reservation as a process of its own, an event to look at, and a sale that goes on meanwhile."""

import asyncio
import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import msgspec

from bench.run import Run
from reservation import bodies, service, store_catalogue, wishes
from reservation.settings import DatabaseSettings
from reservation.store_placing import Denied, Placing, Request
from stack.servers.postgres import PostgresServer
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import new_id
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import Secret

SEATS_PER_ROW = 100
STARTS_AT = datetime(2099, 1, 1, tzinfo=UTC)
READY_S = 30.0


@asynccontextmanager
async def reservation_process(
    run: Run, dsn: str, folder: Path, billing_port: int | None = None
) -> AsyncIterator[tuple[str, int]]:
    """`python -m reservation serve`; its base URL and its pid. Without a port nobody takes its events."""
    port = run.port()
    environment = {
        "RESERVATION_DATABASE_DSN": dsn,
        "RESERVATION_HTTP_PORT": str(port),
        "RESERVATION_FEED_PORT": str(run.port()),
        "RESERVATION_BILLING_FEED": f"127.0.0.1:{billing_port or run.port()}",
        "RESERVATION_ADMIN_KEY": secrets.token_hex(8),
        "RESERVATION_HOLD_TOKEN_KEYS": secrets.token_hex(8),
        "RESERVATION_LOG_LEVEL": "warning",
    }
    async with serving([sys.executable, "-m", "reservation", "serve"], environment, folder / "reservation.log") as pid:
        base = f"http://127.0.0.1:{port}"
        await until_ready(base)
        yield base, pid


@asynccontextmanager
async def serving(command: list[str], environment: dict[str, str], log: Path) -> AsyncIterator[int]:
    """A child process; its pid."""
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once, before anything is measured
            command, env=os.environ | environment, stdout=file, stderr=file
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 15)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)


async def until_ready(base: str) -> None:
    until = time.monotonic() + READY_S
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{base}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            if time.monotonic() > until:
                raise TimeoutError(f"{base} was not ready within {READY_S:.0f} s")
            await asyncio.sleep(0.1)


async def migrated(dsn: str) -> None:
    await asyncio.to_thread(service.migrate, DatabaseSettings(database_dsn=Secret(dsn)))


async def make_event(pool: PostgresPool, seats: int) -> tuple[str, list[str]]:
    """An event of numbered seats, in rows of a hundred and two tiers; its id and theirs."""
    async with pool.transaction() as conn:
        venue = await store_catalogue.make_venue(conn, bodies.MakeVenue(name="Bench"))
        rows = [bodies.Row(row=f"R{number}", seats=SEATS_PER_ROW) for number in range(seats // SEATS_PER_ROW)]
        hall = await store_catalogue.make_hall(conn, bodies.MakeHall(venue_id=venue.venue_id, name="Hall", rows=rows))
        half = len(rows) // 2
        event = await store_catalogue.make_event(
            conn,
            bodies.MakeEvent(
                hall_id=hall.hall_id,
                name="Evening",
                starts_at=STARTS_AT,
                currency="EUR",
                tiers=[
                    bodies.MakeTier(name="stalls", price_minor=5000, rows=[row.row for row in rows[:half]]),
                    bodies.MakeTier(name="circle", price_minor=3000, rows=[row.row for row in rows[half:]]),
                ],
            ),
        )
        found = await conn.fetch("SELECT unit_id::text FROM units WHERE event_id = $1 ORDER BY unit_id", event.event_id)
    async with pool.acquire() as conn:
        await conn.execute("ANALYZE events, tiers, units")
    return event.event_id, [row["unit_id"] for row in found]


@dataclass
class Sale:
    """Holds two seats at a time, ``per_s`` times a second, of an event; ``held``: when a seat was acknowledged."""

    pool: PostgresPool
    event_id: str
    seats: list[str]
    per_s: float
    held: dict[str, datetime] = field(default_factory=dict)

    async def run(self) -> None:
        outbox: Outbox[Connection] = Outbox(PostgresDialect(), service.STREAM_OUT)
        placing = Placing(self.pool, outbox)
        left = self.seats.copy()
        random.Random(7).shuffle(left)
        while len(left) >= 2:
            pair = [left.pop(), left.pop()]
            wish = wishes.check(self.event_id, "bench", pair, [], "refund")
            decision = await placing.place(Request(wish, new_id(), secrets.token_bytes(32)))
            if isinstance(decision, Denied):
                raise AssertionError(f"a free seat was refused: {decision.refused.code}")
            self.held |= dict.fromkeys(pair, datetime.now(UTC))
            await asyncio.sleep(1 / self.per_s)

    def check(self, body: bytes, asked: datetime, staleness_s: float) -> None:
        """Raises AssertionError when a reader was shown what was older than promised."""
        seen = msgspec.json.decode(body, type=bodies.Availability)
        age_s = (asked - seen.as_of).total_seconds()
        assert age_s <= staleness_s, f"{age_s:.3f} s old when it was asked for"
        assert len(seen.seats) == len(self.seats), f"{len(seen.seats)} seats of {len(self.seats)}"
        margin_s = 0.1  # the answer's time is the database's, the sale's is ours
        for seat in seen.seats:
            at = self.held.get(seat.seat_id)
            free_after_all = seat.state == "free" and at is not None and (seen.as_of - at).total_seconds() > margin_s
            assert not free_after_all, f"{seat.seat_id} was held before and is shown as free"


def postgres_pid(server: PostgresServer) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])
