"""The lanes of a running stack: the command as people run it, and what the stores say of them."""

from contextlib import closing
from typing import Any

import psycopg
import pymysql

from tests.support.commands import Said, module
from tests.support.ring import Ring
from ticketflow.delivery.lanes_barrier import KIND

Row = tuple[Any, ...]

STAGED = "SELECT event_id, event_key, kind FROM delivery_outbox ORDER BY position"
POSITIONS = "SELECT stream, last_seq, acked_seq FROM delivery_stream"
WATERMARKS = "SELECT stream, watermark FROM delivery_inbox_stream"
# A tie is of one transaction, which is of one lane.
RECEIVED = "SELECT event_id FROM delivery_inbox WHERE stream LIKE 'reservation%' ORDER BY received_at, seq"
HOLDERS = """
    SELECT name, owner FROM delivery_lease
    WHERE expires_at BETWEEN clock_timestamp() AND '9000-01-01' AND name LIKE 'relay:%'"""  # not what belongs to nobody


async def command(ring: Ring, *arguments: str) -> Said:
    """``python -m stack run ARGUMENTS``."""
    return await module("stack", {"TICKETFLOW_RUN_DIR": str(ring.stack.settings.run)}, "run", *arguments)


async def set_lanes(ring: Ring, service: str, lanes: int) -> bool:
    """For ``wait_until``: a command whose database is just being restarted says so, and is repeated."""
    said = await command(ring, service, "lanes", "set", str(lanes))
    assert said.code == 0, said
    assert said.out.startswith(f"{service}: {lanes} lane"), said
    return True


def postgres(ring: Ring, service: str, query: str) -> list[Row]:
    with psycopg.connect(ring.dsn(service), autocommit=True) as conn:
        return conn.execute(query.encode()).fetchall()


def mariadb(ring: Ring, query: str) -> list[Row]:
    conn = pymysql.connect(
        host="127.0.0.1",
        port=ring.stack.ports.mariadb,
        user="billing",
        password=ring.stack.secrets.get("billing-database"),
        database="billing",
        autocommit=True,
    )
    with closing(conn), conn.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def holders(ring: Ring) -> dict[str, list[str]]:
    """By replica, which of reservation's lanes it relays now."""
    found: dict[str, list[str]] = {}
    for name, owner in postgres(ring, "reservation", HOLDERS):
        if owner:
            found.setdefault(owner, []).append(name)
    return found


def at_rest(ring: Ring) -> bool:
    """Whether everything is stamped and acknowledged in every lane of reservation and of billing, and billing stands
    where reservation does."""
    for rows in (postgres(ring, "reservation", POSITIONS), mariadb(ring, POSITIONS)):
        assert all(last == acked for _, last, acked in rows), rows
    sent = {stream: last for stream, last, _ in postgres(ring, "reservation", POSITIONS) if last}
    received = {stream: watermark for stream, watermark in mariadb(ring, WATERMARKS) if watermark}
    assert {stream: received.get(stream) for stream in sent} == sent
    unstamped = "SELECT count(*) FROM delivery_outbox WHERE seq IS NULL"
    assert postgres(ring, "reservation", unstamped) == [(0,)]
    assert mariadb(ring, unstamped) == [(0,)]
    return True


def staged_by_key(ring: Ring, keys: set[str]) -> dict[str, list[str]]:
    """Reservation's events of ``keys``, each key's in order of staging."""
    found: dict[str, list[str]] = {}
    for event_id, key, kind in postgres(ring, "reservation", STAGED):
        if key in keys and kind != KIND:
            found.setdefault(key, []).append(str(event_id))
    return found


def received_by_key(ring: Ring, staged: dict[str, list[str]]) -> dict[str, list[str]]:
    """The same events in the order in which billing got them."""
    keys = {event_id: key for key, ids in staged.items() for event_id in ids}
    found: dict[str, list[str]] = {}
    for (event_id,) in mariadb(ring, RECEIVED):
        if event_id in keys:
            found.setdefault(keys[event_id], []).append(event_id)
    return found
