"""The rows that only grow: orders as they arrive, their lines, their tickets and their history. Many in one statement.

Nothing here decides anything, and nothing is locked: an order that arrives is nobody else's yet, and who writes about
one that is there has locked it (book.py).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pymysql.err

from billing.orders.rules import Fact
from billing.store.book import Record
from billing.store.times import of_us
from ticketflow.events import HoldLine, HoldPlaced, Ticket, new_id
from ticketflow.runtime.mariadb import Ahead, execute, query
from ticketflow.runtime.mariadb_rows import insert, insert_values, values

Conn = Any  # aiomysql has no types

INSERT_ORDERS = (
    "INSERT INTO orders"
    " (order_id, event_id, event_name, buyer_id, total_minor, currency, placed_at, expires_at, correlation_id)"
)
INSERT_LINES = "INSERT INTO order_lines (order_id, unit_id, position, tier, label, price_minor)"

_DUPLICATE = 1062


class Placed(NamedTuple):
    """A hold that came, and the row of its order."""

    hold: HoldPlaced
    row: tuple[Any, ...]


def placed(hold: HoldPlaced, correlation_id: str) -> Placed:
    """With the correlation id of its request."""
    return Placed(hold, _order(hold, correlation_id))


async def insert_placed(conn: Conn, writes: Ahead, arrived: Sequence[Placed]) -> list[HoldPlaced]:
    """Makes the orders of holds that have none, and their lines; those made. Each hold may come once.

    ``writes``: of ``conn``, and empty. The lines' answer is still to come there.
    """
    made = list(arrived)
    await insert(writes, INSERT_ORDERS, [one.row for one in made])
    await writes.send()  # in a packet of its own, so that a duplicate in it is an order
    lines = values(_lines_of(made), conn.escape)
    # As if there were none of them, which is nearly always so; a duplicate undoes the statement and nothing else. One
    # statement: the longest rows of the largest batch fit into it. Of two, the first one's orders would look known.
    try:
        await writes.answered()
    except pymysql.err.IntegrityError as error:
        if error.args[0] != _DUPLICATE:
            raise
        order_ids = sorted(one.hold.hold_id for one in arrived)
        rows = await query(conn, "SELECT order_id FROM orders WHERE order_id IN %s", (order_ids,))
        known = {row["order_id"] for row in rows}
        made = [one for one in arrived if one.hold.hold_id not in known]
        await insert(writes, INSERT_ORDERS, [one.row for one in made])
        lines = values(_lines_of(made), conn.escape)
    await insert_values(writes, INSERT_LINES, lines)
    return [one.hold for one in made]


def _lines_of(made: Sequence[Placed]) -> list[tuple[Any, ...]]:
    return [row for one in made for row in _lines(one.hold.hold_id, one.hold.lines)]


def _order(hold: HoldPlaced, correlation_id: str) -> tuple[Any, ...]:
    return (
        hold.hold_id,
        hold.event_id,
        hold.event_name,
        hold.buyer_id,
        hold.total_minor,
        hold.currency,
        of_us(hold.placed_at_us),
        of_us(hold.expires_at_us),
        correlation_id,
    )


async def replace_lines(conn: Conn, record: Record, lines: Sequence[HoldLine]) -> None:
    """The order has other places now. Before its tickets are issued."""
    await execute(conn, "DELETE FROM order_lines WHERE order_id = %s", (record.order_id,))
    await insert_lines(conn, record.order_id, lines)


async def made_tickets(conn: Conn, order_ids: Sequence[str]) -> dict[str, list[Ticket]]:
    """One for each line of these orders, by order; they are not stored yet."""
    tickets: dict[str, list[Ticket]] = {order_id: [] for order_id in order_ids}
    if not order_ids:
        return tickets
    lines = await query(
        conn,
        "SELECT order_id, unit_id, tier, label FROM order_lines WHERE order_id IN %s ORDER BY order_id, position",
        (sorted(order_ids),),
    )
    for line in lines:
        order_id = line.pop("order_id")
        tickets[order_id].append(Ticket(ticket_id=new_id(), **line))
    return tickets


async def insert_tickets(conn: Conn, of_orders: Iterable[tuple[Record, Sequence[Ticket]]]) -> None:
    """The unique key refuses a second one for the same line."""
    await insert(
        conn,
        "INSERT INTO tickets (ticket_id, order_id, unit_id, event_id, tier, label)",
        [
            (t.ticket_id, record.order_id, t.unit_id, record.event_id, t.tier, t.label)
            for record, tickets in of_orders
            for t in tickets
        ],
    )


async def write_history(conn: Conn, order_id: str, facts: Sequence[Fact]) -> None:
    await write_histories(conn, [(order_id, facts)])


async def write_histories(conn: Conn, histories: Iterable[tuple[str, Sequence[Fact]]]) -> None:
    """Of each order what happened to it, in that order."""
    await insert(
        conn,
        "INSERT INTO order_history (order_id, code, payment_id, reason)",
        [(order_id, fact.code.value, fact.payment_id, fact.reason) for order_id, facts in histories for fact in facts],
    )


async def insert_lines(conn: Conn, order_id: str, lines: Sequence[HoldLine]) -> None:
    await insert(conn, INSERT_LINES, _lines(order_id, lines))


def _lines(order_id: str, lines: Sequence[HoldLine]) -> list[tuple[Any, ...]]:
    return [
        (order_id, line.unit_id, position, line.tier, line.label, line.price_minor)
        for position, line in enumerate(lines)
    ]
