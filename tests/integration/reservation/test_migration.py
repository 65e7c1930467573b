"""A schema that is brought up to date while an older release is at work on it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reservation.service import FOLDERS
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import Truth
from tests.support.databases import create_postgres, drop_postgres
from tests.support.running import RunningServer
from ticketflow.events import new_id
from ticketflow.runtime.migrate import migrate

BEFORE = ("0001_catalogue.sql", "0002_holds.sql", "0003_place_holds.sql")


@pytest.fixture
def old_dsn(postgres_server: RunningServer[PostgresServer], tmp_path: Path) -> Iterator[str]:
    """A database as the release before late payments left it."""
    database = create_postgres(postgres_server.server)
    for name in BEFORE:
        shutil.copy(FOLDERS[1] / name, tmp_path)
    assert migrate(database.dsn, (FOLDERS[0], tmp_path), "reservation") > len(BEFORE)
    yield database.dsn
    postgres_server.start()
    drop_postgres(postgres_server.server, database)


CATALOGUE = """
    WITH v AS (INSERT INTO venues (venue_id, name) VALUES ($1, 'Old') RETURNING venue_id),
         h AS (INSERT INTO halls (hall_id, venue_id, name) SELECT $1, venue_id, 'Main' FROM v RETURNING hall_id),
         e AS (INSERT INTO events (event_id, hall_id, name, starts_at, currency, hold_ttl_s, grace_s,
                                   seats_per_hold_max)
               SELECT $1, hall_id, 'Evening', '2099-01-01', 'EUR', 300, 60, 10 FROM h RETURNING event_id)
    INSERT INTO tiers (tier_id, event_id, position, name, price_minor, numbered, capacity)
    SELECT $1, event_id, 0, 'standing', 1500, false, 3 FROM e"""
PLACES = (
    "INSERT INTO units (unit_id, event_id, tier_id, label) SELECT id, $1, $1, 'standing' FROM unnest($2::uuid[]) AS id"
)


async def test_a_connection_from_before_goes_on_and_what_it_held_stays(old_dsn: str) -> None:
    before = await Truth.connect(old_dsn)
    try:
        event_id = new_id()
        await before.conn.execute(CATALOGUE, event_id)
        await before.conn.execute(PLACES, event_id, [new_id() for _ in range(3)])

        async def place() -> tuple[str | None, str | None]:
            """(hold, refusal), on the connection that has planned all this already."""
            request = {
                "hold_id": new_id(),
                "event_id": event_id,
                "buyer_id": "ann",
                "key": new_id(),
                "late": "same_tier",
            }
            request |= {"fingerprint": "\\x00", "seats": [], "general": [{"tier": "standing", "quantity": 1}]}  # type: ignore[dict-item]
            row = await before.conn.fetchrow("SELECT * FROM place_holds($1, false)", json.dumps([request]))
            assert row is not None
            return row["hold_id"] and str(row["hold_id"]), row["refusal"] and json.loads(row["refusal"])["code"]

        first, _ = await place()
        assert first is not None
        assert migrate(old_dsn, FOLDERS, "reservation") > 0
        second, _ = await place()
        assert second is not None
        moved = await before.conn.fetch("SELECT moved FROM holds")
        assert [row["moved"] for row in moved] == [False, False]
        await before.check([event_id])

        await before.conn.execute("UPDATE events SET closed_at = now() WHERE event_id = $1", event_id)
        assert await place() == (None, "event_closed")
    finally:
        await before.close()


async def test_who_has_called_decide_holds_goes_on_calling_it(
    postgres_server: RunningServer[PostgresServer], tmp_path: Path
) -> None:
    """On a connection of the release before, which has planned it all, while the function is replaced."""
    for file in sorted(FOLDERS[1].glob("000[1-7]_*.sql")):
        shutil.copy(file, tmp_path)
    database = create_postgres(postgres_server.server)
    assert migrate(database.dsn, (FOLDERS[0], tmp_path), "reservation") > 0
    before = await Truth.connect(database.dsn)
    try:
        event_id = new_id()
        await before.conn.execute(CATALOGUE, event_id)
        await before.conn.execute(PLACES, event_id, [new_id() for _ in range(3)])
        decide = await before.conn.prepare("SELECT * FROM decide_holds($1::hold_request[], false)")

        async def ask(key: str) -> dict[str, object]:
            general = '[{"tier": "standing", "quantity": 1}]'
            [row] = await decide.fetch([(new_id(), event_id, "ann", key, b"", [], general, "refund")])
            return dict(row)

        key = new_id()
        first = await ask(key)
        assert migrate(database.dsn, FOLDERS, "reservation") > 0
        assert await ask(key) == first | {"claimed": False}
        second = await ask(new_id())
        assert list(second) == list(first)
        assert second["hold_id"] is not None
        assert second["claimed"] is True
        await before.check([event_id])
    finally:
        await before.close()
        drop_postgres(postgres_server.server, database)
