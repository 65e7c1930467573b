"""The database itself refuses a double sale, whoever writes to it and with whatever SQL."""

import asyncpg
import pytest

from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Buyer
from ticketflow.events import new_id


@pytest.fixture
async def owned(replica: Replica, truth: Truth) -> tuple[str, str, str, str]:
    """(a held seat, its hold, a sold seat, its hold)"""
    event = await replica.shop.event(seats=2)
    held, sold = [await Buyer(replica.shop).hold(event, [seat]) for seat in event.seats]
    await replica.settle(sold.hold_id)
    return event.seats[0], held.hold_id, event.seats[1], sold.hold_id


async def _other_hold(truth: Truth, hold_id: str, unit_id: str) -> str:
    """A forged hold with a line for the same place."""
    other = new_id()
    await truth.conn.execute(
        """
        INSERT INTO holds (hold_id, event_id, buyer_id, total_minor, currency, late, placed_at, expires_at, held_until)
        SELECT $2, event_id, 'thief', 0, currency, late, placed_at, expires_at, held_until FROM holds WHERE hold_id = $1
        """,
        hold_id,
        other,
    )
    await truth.conn.execute(
        "INSERT INTO hold_units (hold_id, unit_id, price_minor) VALUES ($1, $2, 0)", other, unit_id
    )
    return other


async def test_a_place_cannot_be_sold_twice(truth: Truth, owned: tuple[str, str, str, str]) -> None:
    _, _, seat, hold_id = owned
    thief = await _other_hold(truth, hold_id, seat)
    with pytest.raises(asyncpg.UniqueViolationError, match="hold_units_sold_once"):
        await truth.conn.execute("UPDATE hold_units SET sold = true WHERE hold_id = $1", thief)


@pytest.mark.parametrize("sold", [False, True])
async def test_a_place_cannot_be_taken_from_its_owner(
    truth: Truth, owned: tuple[str, str, str, str], sold: bool
) -> None:
    seat, hold_id = owned[2:] if sold else owned[:2]
    thief = await _other_hold(truth, hold_id, seat)
    with pytest.raises(asyncpg.ExclusionViolationError, match="cannot go to hold"):
        await truth.conn.execute("UPDATE units SET hold_id = $1 WHERE unit_id = $2", thief, seat)


async def test_an_owner_needs_a_line(truth: Truth, owned: tuple[str, str, str, str]) -> None:
    seat, hold_id, _, other = owned
    await truth.let_pass(hold_id, 10_000)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="units_owner_has_line"):
        await truth.conn.execute("UPDATE units SET hold_id = $1 WHERE unit_id = $2", other, seat)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'free'",
        "state = 'sold'",
        "hold_id = NULL",
        "held_until = NULL",
        "state = 'reserved'",
    ],
)
async def test_a_place_is_free_or_held_or_sold_and_nothing_between(
    truth: Truth, owned: tuple[str, str, str, str], change: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await truth.conn.execute(f"UPDATE units SET {change} WHERE unit_id = $1", owned[0])


@pytest.mark.parametrize(
    "change",
    ["state = 'SOLD', ended_at = now()", "state = 'RELEASED'", "ended_at = now()", "held_until = placed_at"],
)
async def test_a_hold_is_whole(truth: Truth, owned: tuple[str, str, str, str], change: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await truth.conn.execute(f"UPDATE holds SET {change} WHERE hold_id = $1", owned[1])


async def test_a_hold_with_an_owned_place_cannot_be_deleted(truth: Truth, owned: tuple[str, str, str, str]) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await truth.conn.execute("DELETE FROM hold_units WHERE hold_id = $1", owned[1])


async def test_every_table_and_column_says_what_it_is(truth: Truth) -> None:
    silent = await truth.conn.fetch(
        """
        SELECT c.relname, a.attname FROM pg_class AS c
          LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '%yoyo%'
           AND (obj_description(c.oid) IS NULL OR col_description(c.oid, a.attnum) IS NULL)
        """
    )
    assert silent == []
