"""A portal's database from before refunds."""

import shutil
from pathlib import Path

from portal import service, store
from portal.settings import DatabaseSettings
from tests.support.databases import Database
from tests.unit.portal.events import NOON_US
from ticketflow.delivery import SCHEMA
from ticketflow.events import new_id
from ticketflow.runtime.migrate import migrate
from ticketflow.runtime.postgres import PostgresPool
from ticketflow.runtime.settings import Secret


async def test_sales_from_before_are_read_and_those_under_way_know_that_money_came(
    postgres_database: Database, tmp_path: Path
) -> None:
    ours = Path(service.__file__).parent / "schema"
    for name in ("0001_portal.sql", "0002_streams.sql"):
        shutil.copy(ours / name, tmp_path / name)
    migrate(postgres_database.dsn, (SCHEMA["postgres"], tmp_path), "portal")
    paying, done = new_id(), new_id()
    pool = PostgresPool(postgres_database.dsn, name="test", size_max=1)
    await pool.open()
    async with pool.transaction() as conn:
        for order_id, state in ((paying, "PAYING"), (done, "CONFIRMED")):
            await conn.execute("INSERT INTO sales (order_id, state) VALUES ($1, $2)", order_id, state)
            for second in (2, 1):
                await conn.execute(
                    """
                    INSERT INTO sale_history (event_id, order_id, at, code)
                    VALUES ($1, $2, to_timestamp($3::bigint), 'payment.authorized')
                    """,
                    new_id(),
                    order_id,
                    NOON_US // 1_000_000 + second,
                )

    assert service.migrate(DatabaseSettings(database_dsn=Secret(postgres_database.dsn))) == 1

    async with pool.acquire() as conn:
        before, after = await store.sale(conn, paying), await store.sale(conn, done)
    await pool.close()
    assert before is not None
    assert after is not None
    assert before.authorized_at_us == NOON_US + 1_000_000
    assert (after.state, after.refunded_minor, after.held, after.moved_to) == ("CONFIRMED", 0, None, None)
