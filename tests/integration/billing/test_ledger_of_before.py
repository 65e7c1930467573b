"""An upgrade from a release without a ledger: what was captured then is in it afterwards."""

from pathlib import Path

from billing.store.times import of_us
from tests.integration.billing.world import World
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute

MIGRATION = Path(__file__).parents[3] / "billing" / "schema" / "0005_ledger_of_before.sql"


async def captured_before(world: World, event_id: str, amount_minor: int) -> str:
    """An order that the release before has confirmed, without a ledger; its payment."""
    order_id, payment_id = new_id(), new_id()
    async with world.pool.transaction() as conn:
        await execute(
            conn,
            "INSERT INTO orders (order_id, event_id, event_name, buyer_id, total_minor, currency, state, placed_at,"
            " expires_at, ended_at, correlation_id)"
            " VALUES (%s, %s, 'Evening', 'anna', %s, 'EUR', 'CONFIRMED', %s, %s, %s, 'c')",
            (order_id, event_id, amount_minor, of_us(1), of_us(2), of_us(3)),
        )
        await execute(
            conn,
            "INSERT INTO payments (payment_id, order_id, state, amount_minor, currency, method, authorization_id,"
            " started_at, changed_at, correlation_id) VALUES (%s, %s, 'CAPTURED', %s, 'EUR', 'card', 'a', %s, %s, 'c')",
            (payment_id, order_id, amount_minor, of_us(1), of_us(3)),
        )
    return payment_id


async def migrated(world: World) -> None:
    text = "\n".join(line for line in MIGRATION.read_text().splitlines() if not line.startswith("--"))
    async with world.pool.transaction() as conn:
        for statement in filter(str.strip, text.split(";")):
            await execute(conn, statement.replace("%", "%%"), ())


async def test_what_was_captured_before_is_written_down_once(world: World) -> None:
    event_id = new_id()
    payments = [await captured_before(world, event_id, amount) for amount in (2500, 4000, 0)]
    now = await world.placed()
    paid = await now.pay()
    await now.sold(paid.body["payment_id"])
    await world.run("capture")
    for _ in range(2):  # as after a crash in the middle
        await migrated(world)

    entries = await world.rows("SELECT cause, cause_id FROM ledger_entries ORDER BY entry_id")
    assert sorted(entry["cause_id"] for entry in entries) == sorted([*payments[:2], paid.body["payment_id"]])
    standing = await world.rows(
        "SELECT account, SUM(balance_minor) AS minor FROM ledger_balances GROUP BY account ORDER BY account"
    )
    found = {row["account"]: int(row["minor"]) for row in standing}
    assert found["clearing:sandbox"] == 2500 + 4000 + 5000
    assert found[f"sales:{event_id}"] == -6500
    assert await world.ledger_faults() == []
    await now.ends("CONFIRMED")
