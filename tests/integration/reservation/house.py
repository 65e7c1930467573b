"""A replica of the service inside the test's process, and the database as the judge."""

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import asyncpg

from reservation.readers import Readers
from reservation.service import FLUSHING_CONNECTIONS, STREAM_OUT, routes
from reservation.settings import ReservationSettings
from reservation.store_placing import Placing
from reservation.store_returning import Returning
from reservation.store_settling import Settling
from reservation.workers import Sweeper
from tests.support.buyer import Buyer, Event, Purchase, Shop
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import (
    Envelope,
    HoldSold,
    Payload,
    SaleReturn,
    SaleSettle,
    decode,
    envelope_for,
    new_id,
    payload_of,
)
from ticketflow.feed import Address
from ticketflow.runtime.health import Health
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying
from ticketflow.runtime.settings import Secret

ADMIN_KEY = "test-admin-key"
TOKEN_KEYS = (Secret("new-token-key"), Secret("old-token-key"))


def settings_for(dsn: str, **others: object) -> ReservationSettings:
    values: dict[str, object] = {
        "database_dsn": Secret(dsn),
        "http_port": 0,
        "feed_port": 0,
        "billing_feed": (Address("127.0.0.1", 1),),
        "admin_key": Secret(ADMIN_KEY),
        "hold_token_keys": TOKEN_KEYS,
    }
    return ReservationSettings(**(values | others))  # type: ignore[arg-type]


@dataclass
class Replica:
    pool: PostgresPool
    flushing: PostgresPool
    placing: Placing
    outbox: Outbox[Connection]
    server: HttpServer
    shop: Shop

    @classmethod
    async def start(
        cls, dsn: str, http: aiohttp.ClientSession, *, readers: Readers | None = None, **settings: object
    ) -> "Replica":
        pool = PostgresPool(dsn, name="replica")
        flushing = PostgresPool(dsn, name="flushing", size_max=FLUSHING_CONNECTIONS)
        outbox: Outbox[Connection] = Outbox(PostgresDialect(), STREAM_OUT)
        placing = Placing(pool, outbox, flushing)
        server = HttpServer(
            routes(pool, placing, outbox, settings_for(dsn, **settings), readers),
            title="test",
            version="1",
            host="127.0.0.1",
            port=0,
            admin_key=ADMIN_KEY,
            health=Health(),
        )
        await pool.open()
        await flushing.open()
        await server.start()
        return cls(pool, flushing, placing, outbox, server, Shop(http, f"http://127.0.0.1:{server.port}", ADMIN_KEY))

    async def stop(self) -> None:
        await self.server.drain(2)
        await self.placing.drain()
        await self.flushing.close(2)
        await self.pool.close(2)

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.pool, self.outbox)

    async def settle(self, hold_id: str, payment_id: str | None = None, *, attempts: int = 200) -> str:
        """As the inbox does it, in a transaction of its own, and patiently; the payment's id."""
        payment_id = payment_id or new_id()
        command = SaleSettle(hold_id=hold_id, payment_id=payment_id, started_at_us=1)

        async def attempt() -> None:
            async with self.pool.transaction() as conn:
                await Settling(self.outbox).settle(conn, envelope_for(command, key=hold_id, correlation_id="test"))

        await retrying(attempt, attempts=attempts)
        return payment_id

    async def give_back(self, hold_id: str, unit_ids: Sequence[str] = (), return_id: str | None = None) -> str:
        """sale.return, as the inbox does it; the return's id."""
        return_id = return_id or new_id()
        command = SaleReturn(hold_id=hold_id, return_id=return_id, unit_ids=list(unit_ids))
        async with self.pool.transaction() as conn:
            await Returning(self.outbox).give_back(conn, envelope_for(command, key=hold_id, correlation_id="test"))
        return return_id


async def hold_same_tier(shop: Shop, event: Event, seats: Sequence[str] = (), standing: int = 0) -> Purchase:
    """A hold whose buyer would rather have other places of the same tier than his money back."""
    buyer = Buyer(shop)
    wish = buyer.wish(event, list(seats), standing) | {"late": "same_tier"}
    answer = await shop.insist("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
    assert answer.status == 201, answer
    return Purchase(buyer, answer.body["hold_id"], answer.body["token"])


@dataclass
class Truth:
    conn: Connection

    @classmethod
    async def connect(cls, dsn: str) -> "Truth":
        return cls(await asyncpg.connect(dsn))

    async def close(self) -> None:
        await self.conn.close()

    async def events_of(self, hold_id: str) -> list[Payload]:
        """What was staged about a hold, in order."""
        return [payload for payload in map(payload_of, await self.envelopes_of(hold_id)) if payload is not None]

    async def envelopes_of(self, hold_id: str) -> list[Envelope]:
        rows = await self.conn.fetch("SELECT body FROM delivery_outbox WHERE event_key = $1 ORDER BY position", hold_id)
        return [decode(row["body"]) for row in rows]

    async def kinds_of(self, hold_id: str) -> list[str]:
        return [payload.kind for payload in await self.events_of(hold_id)]

    async def sold(self, hold_id: str) -> HoldSold:
        """The last that was told of a hold, which is that it was sold."""
        told = (await self.events_of(hold_id))[-1]
        assert isinstance(told, HoldSold), told
        return told

    async def states(self, event_id: str) -> list[tuple[str, int]]:
        """(stored state, how many places), sorted."""
        rows = await self.conn.fetch(
            "SELECT state, count(*) FROM units WHERE event_id = $1 GROUP BY state ORDER BY state", event_id
        )
        return [(row["state"], row["count"]) for row in rows]

    async def owners(self, event_id: str) -> dict[str, str | None]:
        """Owner of each place."""
        rows = await self.conn.fetch("SELECT unit_id::text, hold_id::text FROM units WHERE event_id = $1", event_id)
        return {row["unit_id"]: row["hold_id"] for row in rows}

    async def let_pass(self, hold_id: str, seconds: float) -> None:
        """Time passes for one hold: all its times move back."""
        await self.conn.execute(
            """
            UPDATE holds SET placed_at = placed_at - make_interval(secs => $2),
                             expires_at = expires_at - make_interval(secs => $2),
                             held_until = held_until - make_interval(secs => $2)
             WHERE hold_id = $1
            """,
            hold_id,
            seconds,
        )
        await self.conn.execute(
            """
            UPDATE units SET held_until = held_until - make_interval(secs => $2) WHERE hold_id = $1 AND state = 'held'
            """,
            hold_id,
            seconds,
        )

    async def check(self, event_ids: Sequence[str]) -> None:
        """What must hold at every moment: the owner of a place has a line for it, and agrees on what it is."""
        wrong = await self.conn.fetch(
            """
            SELECT u.unit_id, u.state, u.hold_id, h.state AS hold_state
              FROM units AS u
              LEFT JOIN holds AS h USING (hold_id)
              LEFT JOIN hold_units AS l ON l.hold_id = u.hold_id AND l.unit_id = u.unit_id
             WHERE u.event_id = ANY ($1::uuid[]) AND u.state <> 'free'
               AND (h.hold_id IS NULL OR l.hold_id IS NULL OR l.return_id IS NOT NULL
                    OR (u.state = 'sold') <> (h.state = 'SOLD') OR (u.state = 'held') <> (h.state = 'HELD')
                    OR l.sold <> (u.state = 'sold')
                    OR u.held_until IS DISTINCT FROM CASE u.state WHEN 'held' THEN h.held_until END)
            """,
            event_ids,
        )
        assert wrong == []
        unequal = await self.conn.fetch(
            """
            SELECT hold_id FROM holds JOIN hold_units USING (hold_id) WHERE event_id = ANY ($1::uuid[])
             GROUP BY hold_id, total_minor HAVING sum(price_minor) <> total_minor
            """,
            event_ids,
        )
        assert unequal == [], "the lines of a hold are what it costs"
        half_sold = await self.conn.fetch(
            """
            SELECT h.hold_id, l.unit_id
              FROM holds AS h JOIN hold_units AS l USING (hold_id) JOIN units AS u USING (unit_id)
             WHERE u.event_id = ANY ($1::uuid[]) AND h.state = 'SOLD' AND l.return_id IS NULL
               AND (NOT l.sold OR u.state <> 'sold' OR u.hold_id <> h.hold_id)
            """,
            event_ids,
        )
        assert half_sold == [], "what was sold and not returned is its buyer's"
