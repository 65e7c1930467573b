"""Seat maps from a streaming replica: only while it has everything that was committed before the look."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psycopg
import pytest

from reservation.readers import Readers
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import Replica
from tests.support.buyer import Buyer, Event, Shop
from tests.support.ports import free_port
from tests.support.running import RunningServer
from tests.support.standby import StandbyServer
from tests.support.waiting import wait_until
from ticketflow.runtime.metrics import counter
from ticketflow.runtime.postgres import PostgresPool

REFRESHES = counter("reservation_map_refreshes_total", "", ("source",))


@pytest.fixture(scope="module")
def standby(
    postgres_server: RunningServer[PostgresServer], servers_folder: Path
) -> Iterator[RunningServer[StandbyServer]]:
    name = f"standby-{secrets.token_hex(4)}"
    server = StandbyServer(servers_folder / name, free_port(), postgres_server.server)
    running = RunningServer(server, servers_folder / f"{name}.log")
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def shop(dsn: str, http: aiohttp.ClientSession, standby: RunningServer[StandbyServer]) -> AsyncIterator[Shop]:
    """A replica of the service that may read from the standby."""
    address = urlsplit(dsn).netloc.rpartition("@")[2]
    there = dsn.replace(address, f"127.0.0.1:{standby.server.port}")
    primary = PostgresPool(dsn, name="primary")
    replica = PostgresPool(there, name="standby", acquire_timeout_s=0.3, any_server=True)
    await primary.open()
    await replica.open()
    running = await Replica.start(dsn, http, readers=Readers(primary, replica))
    yield running.shop
    await running.stop()
    await primary.close(2)
    await replica.close(2)


def asked(source: str) -> float:
    return float(REFRESHES.labels(source)._value.get())


async def hold_and_look(shop: Shop, event: Event, seat: str) -> None:
    """A seat is held, and then seen to be."""
    await Buyer(shop).hold(event, [seat])
    states = {seen["seat_id"]: seen["state"] for seen in (await event.availability())["seats"]}
    assert states[seat] == "held"


async def until_asked(shop: Shop, event: Event, source: str) -> None:
    """Somebody looks until ``source`` was met: a machine that stands still may let one look find the replica slow."""
    before = asked(source)

    async def met() -> bool:
        await event.availability()
        return asked(source) > before

    await wait_until(met)


async def test_what_was_committed_is_seen_wherever_it_is_read(
    shop: Shop, standby: RunningServer[StandbyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reservation.readers.LEFT_ALONE_S", 0.0)
    event = await shop.event(seats=8)
    seats = iter(event.seats)
    for _ in range(3):
        await hold_and_look(shop, event, next(seats))
    await until_asked(shop, event, "replica")

    with psycopg.connect(standby.server.dsn(), autocommit=True) as admin:
        admin.execute("SELECT pg_wal_replay_pause()")
        try:
            await hold_and_look(shop, event, next(seats))
            await until_asked(shop, event, "behind")
        finally:
            admin.execute("SELECT pg_wal_replay_resume()")
    await hold_and_look(shop, event, next(seats))

    standby.stop()
    await until_asked(shop, event, "away")
    await hold_and_look(shop, event, next(seats))

    monkeypatch.setattr("reservation.readers.LEFT_ALONE_S", 3600.0)
    await until_asked(shop, event, "away")
    before = asked("away")
    await hold_and_look(shop, event, next(seats))
    assert asked("away") == before, "who is away is left alone for a while"
