"""Many sales: constant memory, and one difference among them is found. TICKETFLOW_AUDIT_SALES: how many (12000)."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator

import asyncpg
import pymysql
import pytest

from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from tests.integration.audit.conftest import migrated
from tests.integration.audit.town import Databases
from tests.integration.sandbox.process import ProviderProcess
from tests.support.running import RunningServer

FEW, MANY = 2_000, int(os.environ.get("TICKETFLOW_AUDIT_SALES", "12000"))
MEMORY_MB_MAX = 32  # that many sales may take more than few do
EVENTS = {"few": ("01900001-0000-7000-8000-000000000001", FEW), "many": ("01900002-0000-7000-8000-000000000001", MANY)}

# What happens in a process of its own: its most memory goes to stderr.
PROGRAM = """
import resource, sys
from audit.__main__ import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def crowded(
    postgres_server: RunningServer[PostgresServer],
    mariadb_server: RunningServer[MariaDBServer],
    provider_process: ProviderProcess,
) -> Iterator[Databases]:
    with migrated(postgres_server, mariadb_server, provider_process) as databases:
        yield databases


def _id(what: int, n: str) -> str:
    """SQL of Postgres: the n-th id of a kind. Those of orders are in the order of n."""
    return f"('0190000{what}-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid"


async def fill_reservation(dsn: str) -> None:
    conn = await asyncpg.connect(dsn, command_timeout=300)
    await conn.execute(
        """
        INSERT INTO venues VALUES ('01900000-0000-7000-8000-000000000001', 'v');
        INSERT INTO halls VALUES ('01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-000000000001', 'h');
        """
    )
    base = 0
    for event_id, count in EVENTS.values():
        await conn.execute(
            f"""
            INSERT INTO events VALUES ('{event_id}', '01900000-0000-7000-8000-000000000001', 'e', '2099-01-01', 'EUR',
                                       300, 60, 10);
            INSERT INTO tiers VALUES ('{event_id}', '{event_id}', 0, 't', 2500, false, {count});
            INSERT INTO holds (hold_id, event_id, buyer_id, state, total_minor, currency, late, payment_id, placed_at,
                               expires_at, held_until, ended_at)
            SELECT {_id(3, "n")}, '{event_id}', 'b', 'SOLD', 2500, 'EUR', 'refund', {_id(5, "n")},
                   now() - interval '1 h', now() - interval '30 min', now() - interval '20 min',
                   now() - interval '50 min'
              FROM generate_series({base + 1}, {base + count}) AS n;
            INSERT INTO units (unit_id, event_id, tier_id, label)
            SELECT {_id(4, "n")}, '{event_id}', '{event_id}', 't' FROM generate_series({base + 1}, {base + count}) AS n;
            INSERT INTO hold_units (hold_id, unit_id, price_minor, sold)
            SELECT {_id(3, "n")}, {_id(4, "n")}, 2500, true FROM generate_series({base + 1}, {base + count}) AS n;
            UPDATE units SET state = 'sold', hold_id = line.hold_id
              FROM hold_units AS line WHERE line.unit_id = units.unit_id AND units.event_id = '{event_id}';
            """
        )
        base += count
    await conn.close()


async def fill_portal(dsn: str) -> None:
    conn = await asyncpg.connect(dsn, command_timeout=300)
    base = 0
    for event_id, count in EVENTS.values():
        await conn.execute(
            f"""
            INSERT INTO sales (order_id, state, buyer_id, event_id, currency, total_minor, updated_at)
            SELECT {_id(3, "n")}, 'CONFIRMED', 'b', '{event_id}', 'EUR', 2500, now() - interval '50 min'
              FROM generate_series({base + 1}, {base + count}) AS n;
            INSERT INTO sale_tickets (ticket_id, order_id, unit_id, tier, label)
            SELECT {_id(6, "n")}, {_id(3, "n")}, {_id(4, "n")}, 't', 't'
              FROM generate_series({base + 1}, {base + count}) AS n;
            """
        )
        base += count
    await conn.close()


def fill_billing(databases: Databases) -> None:
    host = databases.billing.database_hosts[0]
    conn = pymysql.connect(
        host=host.host,
        port=host.port,
        user=databases.billing.database_user,
        password=databases.billing.database_password,
        database=databases.billing.database_name,
        autocommit=True,
    )

    def id_(what: int) -> str:
        return f"CONCAT('0190000{what}-0000-7000-8000-', LPAD(LOWER(HEX(seq)), 12, '0'))"

    def ago(minutes: int) -> str:
        return f"UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE"

    base = 0
    with conn, conn.cursor() as cursor:
        for event_id, count in EVENTS.values():
            of = f"FROM seq_{base + 1}_to_{base + count}"
            for statement in (
                f"""
                INSERT INTO orders (order_id, event_id, event_name, buyer_id, total_minor, currency, state, placed_at,
                                    expires_at, created_at, ended_at, correlation_id)
                SELECT {id_(3)}, '{event_id}', 'e', 'b', 2500, 'EUR', 'CONFIRMED', {ago(60)}, {ago(30)}, {ago(60)},
                       {ago(50)}, 'c'
                """,
                f"""
                INSERT INTO order_lines (order_id, unit_id, position, tier, label, price_minor)
                SELECT {id_(3)}, {id_(4)}, 0, 't', 't', 2500
                """,
                f"""
                INSERT INTO payments (payment_id, order_id, state, amount_minor, currency, method, authorization_id,
                                      started_at, changed_at, correlation_id)
                SELECT {id_(5)}, {id_(3)}, 'CAPTURED', 2500, 'EUR', 'card', 'a', {ago(60)}, {ago(50)}, 'c'
                """,
                f"""
                INSERT INTO tickets (ticket_id, order_id, unit_id, event_id, tier, label)
                SELECT {id_(6)}, {id_(3)}, {id_(4)}, '{event_id}', 't', 't'
                """,
                f"""
                INSERT INTO ledger_entries (cause, cause_id, currency, order_id, event_id)
                SELECT 'capture', {id_(5)}, 'EUR', {id_(3)}, '{event_id}'
                """,
            ):
                cursor.execute(f"{statement} {of}")
            cursor.execute(
                "INSERT INTO ledger_postings SELECT entry_id, 0, 'clearing:sandbox', 2500 FROM ledger_entries"
                " WHERE event_id = %s UNION ALL"
                " SELECT entry_id, 1, CONCAT('sales:', event_id), -2500 FROM ledger_entries WHERE event_id = %s",
                (event_id, event_id),
            )
            base += count
        cursor.execute(
            "INSERT INTO ledger_balances SELECT account, 'EUR', 0, SUM(amount_minor) FROM ledger_postings GROUP BY 1"
        )


async def audited(databases: Databases, *arguments: str) -> tuple[int, str, int, float]:
    """The exit code, what it printed, the most memory it had (MB), and how long it took (s)."""
    environment = {"PATH": os.environ["PATH"], **databases.environment(), "AUDIT_GRACE_S": "60"}
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *arguments, env=environment, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), int(err.split()[-1]) // 1024, time.monotonic() - begun


@pytest.mark.timeout(600)
async def test_memory_does_not_grow_with_the_sales(crowded: Databases) -> None:
    await fill_reservation(crowded.reservation_dsn)
    await fill_portal(crowded.portal_dsn)
    await asyncio.to_thread(fill_billing, crowded)

    code, out, few_mb, few_s = await audited(crowded, "--event", EVENTS["few"][0], "--provider", "none")
    assert (code, out.splitlines()[-1]) == (0, "seats = orders = ledger = provider = portal"), out

    conn = await asyncpg.connect(crowded.portal_dsn)
    order_id = await conn.fetchval(
        "UPDATE sales SET state = 'PAYING' WHERE order_id IN (SELECT order_id FROM sales OFFSET $1 LIMIT 1)"
        " RETURNING order_id::text",
        MANY * 3 // 4,
    )
    await conn.close()
    code, out, many_mb, many_s = await audited(crowded, "--only", "money", "--provider", "none")
    print(f"{FEW} sales: {few_s:.1f} s, {few_mb} MB; {FEW + MANY}: {many_s:.1f} s, {many_mb} MB")
    assert (code, out.splitlines()[-1]) == (1, "1 difference"), out
    assert out.startswith(f"money: {FEW + MANY} sales")
    assert f"portal_state_differs: order {order_id}" in out
    assert many_mb - few_mb <= MEMORY_MB_MAX
