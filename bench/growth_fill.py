"""A reservation database with a past: a million holds that are over, with their lines, keys and events.

Half of them were sold, a place each; the others expired. Half of the keys, the events and the holds are older than they
are kept, so that purger and retention have work for as long as it is measured. Rows are made by SQL, in the order in
which they would have come; foreign keys and triggers are not asked, since asking would take longer than the bench.
"""

# ruff: noqa: S608 - constants

import time

import psycopg

HOLDS = 1_000_000
EVENTS = 5
OLD_SHARE = 2  # one in so many rows is older than it is kept
PLACES = HOLDS // 2 // EVENTS

# ids as UUIDv7 are: in the order of time. The fifth letter tells what of.
_ID = "('01890000-000{kind}-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"
# The older ones first; all of them long before now.
_AGE = "clock_timestamp() - CASE WHEN n <= {old} THEN interval '{over} days' ELSE interval '{under} days' END"


def _id(kind: str, number: str = "n") -> str:
    return _ID.format(kind=kind, number=number)


def _age(over_days: float, under_days: float) -> str:
    return _AGE.format(old=HOLDS // OLD_SHARE, over=over_days, under=under_days)


STATEMENTS = (
    f"INSERT INTO venues (venue_id, name) VALUES ({_id('1', '1')}, 'Past')",
    f"INSERT INTO halls (hall_id, venue_id, name) VALUES ({_id('2', '1')}, {_id('1', '1')}, 'Past')",
    f"""
    INSERT INTO events (event_id, hall_id, name, starts_at, currency, hold_ttl_s, grace_s, seats_per_hold_max)
    SELECT {_id("3")}, {_id("2", "1")}, 'Past ' || n, now() + interval '1 year', 'EUR', 300, 60, 10
      FROM generate_series(1, {EVENTS}) AS n
    """,
    f"""
    INSERT INTO tiers (tier_id, event_id, position, name, price_minor, numbered, capacity)
    SELECT {_id("4")}, {_id("3")}, 0, 'all', 2500, true, {PLACES} FROM generate_series(1, {EVENTS}) AS n
    """,
    f"""
    INSERT INTO units (unit_id, event_id, tier_id, label, row_name, number, state, hold_id)
    SELECT {_id("5")}, {_id("3", f"1 + (n - 1) / {PLACES}")}, {_id("4", f"1 + (n - 1) / {PLACES}")},
           'R' || n / 1000 || '-' || n % 1000, 'R' || n / 1000, n % 1000, 'sold', {_id("6", "2 * n")}
      FROM generate_series(1, {HOLDS // 2}) AS n
    """,
    f"""
    INSERT INTO holds (hold_id, event_id, buyer_id, state, total_minor, currency, late, payment_id, placed_at,
                       expires_at, held_until, ended_at)
    SELECT {_id("6")}, {_id("3", f"1 + (n - 1) / 2 / {PLACES}")}, 'buyer-' || n,
           CASE n % 2 WHEN 0 THEN 'SOLD' ELSE 'EXPIRED' END, 2500, 'EUR', 'refund',
           CASE n % 2 WHEN 0 THEN {_id("7")} END,
           at - interval '7 minutes', at - interval '2 minutes', at - interval '1 minute', at
      FROM generate_series(1, {HOLDS}) AS n, LATERAL (SELECT {_age(31, 5)} AS at) AS ended
    """,
    f"""
    INSERT INTO hold_units (hold_id, unit_id, price_minor, sold)
    SELECT {_id("6")}, {_id("5", "(n + 1) / 2")}, 2500, n % 2 = 0 FROM generate_series(1, {HOLDS}) AS n
    """,
    f"""
    INSERT INTO idempotency (scope, key, fingerprint, hold_id, created_at)
    SELECT 'holds', 'key-' || md5(n::text), decode(md5(n::text) || md5(n::text), 'hex'), {_id("6")}, {_age(3, 1)}
      FROM generate_series(1, {HOLDS}) AS n
    """,
    f"""
    INSERT INTO delivery_outbox (event_id, stream, event_key, kind, body, created_at, seq)
    SELECT {_id("8")}, 'reservation', {_id("6")}::text, 'hold.placed', decode(repeat(md5(n::text), 8), 'hex'),
           {_age(8, 5)}, n
      FROM generate_series(1, {HOLDS}) AS n
    """,
    f"""
    INSERT INTO delivery_stream (stream, epoch, last_seq, acked_seq)
    VALUES ('reservation', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, {HOLDS}, {HOLDS})
    """,
)


INDEXED_LAST = (
    "idempotency",
    "delivery_outbox",
)  # their indexes are made in a third of the time once the rows are there


def fill(admin_dsn: str) -> float:
    """Fills an empty, migrated database; the seconds that it took. ``admin_dsn``: of a superuser."""
    began = time.monotonic()
    with psycopg.connect(admin_dsn, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("SET maintenance_work_mem = '256MB'")
        indexes = [made for table in INDEXED_LAST for made in _without_indexes(conn, table)]
        for statement in (*STATEMENTS, *indexes):
            conn.execute(statement)
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")
    return time.monotonic() - began


def _without_indexes(conn: psycopg.Connection, table: str) -> list[str]:
    """Drops them; the statements that make them again."""
    constraints = conn.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype IN ('p', 'u')",
        (table,),
    ).fetchall()
    for name, _ in constraints:
        conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    indexes = conn.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", (table,)).fetchall()
    for name, _ in indexes:
        conn.execute(f"DROP INDEX {name}")
    return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {made}" for name, made in constraints] + [
        made for _, made in indexes
    ]
