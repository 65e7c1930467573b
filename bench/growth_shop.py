"""Buyers of a running reservation process, by HTTP: what a hold costs, placed, given back, and told to billing."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg

from bench.maps_house import make_event, reservation_process
from bench.run import Run
from ticketflow.events import decode, new_id
from ticketflow.feed import FeedServer, Hello, Peer, Position
from ticketflow.runtime.postgres import PostgresPool

BUYERS = 4  # at once: enough that no round waits for one fsync only, few enough that nobody waits for a connection
PATIENCE_S = 30.0


class Billing:
    """Takes every event, in memory: by key, the kinds in their order. Goes on after ``watermark``."""

    def __init__(self, watermark: int = 0) -> None:
        self._watermark = watermark
        self.told: dict[str, list[str]] = {}
        self.came = asyncio.Event()

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return Position(hello.epoch, self._watermark)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        for body in bodies[self._watermark + 1 - first_seq :]:
            envelope = decode(body)
            self.told.setdefault(envelope.key, []).append(envelope.kind)
            self._watermark += 1
        self.came.set()
        return self._watermark

    async def was_told(self, hold_id: str, kinds: list[str]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.told.get(hold_id) != kinds:
                self.came.clear()
                await self.came.wait()


class Shop:
    """One event of a database that a process of its own serves; ``seats`` are used up one by one, in random order."""

    def __init__(self, http: aiohttp.ClientSession, base: str, event_id: str, seats: list[str], billing: Billing):
        self._http = http
        self._base = base
        self._event_id = event_id
        self._seats = seats
        self._billing = billing
        self.holds = 0

    async def place(self) -> tuple[str, str]:
        """A hold of two seats; its id and its token."""
        wish = {"event_id": self._event_id, "buyer_id": "bench", "seats": [self._seats.pop(), self._seats.pop()]}
        headers = {"Idempotency-Key": new_id()}
        async with self._http.post(f"{self._base}/api/v1/holds", json=wish, headers=headers) as response:
            body = await response.json()
            assert response.status == 201, body
        self.holds += 1
        return body["hold_id"], body["token"]

    async def release(self, hold_id: str, token: str) -> None:
        url = f"{self._base}/api/v1/holds/{hold_id}"
        async with self._http.delete(url, headers={"X-Hold-Token": token}) as response:
            assert response.status == 200, await response.text()

    async def whole(self) -> None:
        """Placed, told, given back, told."""
        hold_id, token = await self.place()
        await self.release(hold_id, token)
        await self._billing.was_told(hold_id, ["hold.placed", "hold.released"])

    async def place_only(self) -> None:
        await self.place()

    async def each_ms(self, holds: int, *, whole: bool) -> float:
        """ms that one of so many holds took, ``BUYERS`` at once."""
        left = iter(range(holds))

        async def buyer() -> None:
            for _ in left:
                await (self.whole() if whole else self.place_only())

        began = time.perf_counter()
        await asyncio.gather(*(buyer() for _ in range(BUYERS)))
        return (time.perf_counter() - began) * 1000 / holds

    async def check(self, dsn: str) -> None:
        """Nothing is sold twice, and what was held is in the database."""
        conn = await asyncpg.connect(dsn)
        found = await conn.fetchval("SELECT count(*) FROM holds WHERE event_id = $1", self._event_id)
        twice = await conn.fetchval(
            """
            SELECT count(*) FROM (
                SELECT FROM hold_units JOIN holds USING (hold_id)
                 WHERE event_id = $1 GROUP BY unit_id HAVING count(*) > 1
            ) AS doubled
            """,
            self._event_id,
        )
        await conn.close()
        assert (found, twice) == (self.holds, 0), f"{self.holds} holds, {found} in the store, {twice} seats twice"


@asynccontextmanager
async def open_shop(run: Run, dsn: str, seats: int, watermark: int = 0) -> AsyncIterator[Shop]:
    """A migrated database gets an event and a process; billing is played here."""
    billing = Billing(watermark)
    receiver = FeedServer(billing, host="127.0.0.1", port=run.port())
    await receiver.start()
    pool = PostgresPool(dsn, name="bench")
    await pool.open()
    event_id, ids = await make_event(pool, seats)
    await pool.close()
    secrets.SystemRandom().shuffle(ids)
    with run.folder() as folder:
        async with (
            reservation_process(run, dsn, Path(folder), billing_port=receiver.port) as (base, _),
            aiohttp.ClientSession() as http,
        ):
            yield Shop(http, base, event_id, ids, billing)
    await receiver.drain(2)
