"""Every question that the stack asks the stores: all of them reads, in read-only sessions.

Only `status` and the demo ask. They look from outside, as an auditor does; no service reads another's store.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import pymysql

from stack.stack import Stack
from ticketflow.delivery.lanes import streams_of

Row = tuple[Any, ...]

# What waits at the sending end of a stream, in all of its lanes: not yet stamped, or stamped and not yet acknowledged.
BACKLOG_POSTGRES = """
    SELECT count(*), extract(epoch FROM clock_timestamp() - min(created_at))
      FROM delivery_outbox AS o LEFT JOIN delivery_stream AS s USING (stream)
     WHERE o.stream = ANY (%s) AND (o.seq IS NULL OR o.seq > s.acked_seq)"""
BACKLOG_MARIADB = """
    SELECT count(*), timestampdiff(MICROSECOND, min(o.created_at), utc_timestamp(6)) / 1e6
      FROM delivery_outbox AS o LEFT JOIN delivery_stream AS s ON s.stream = o.stream
     WHERE o.stream IN %s AND (o.seq IS NULL OR o.seq > s.acked_seq)"""
PARKED = "SELECT count(*) FROM delivery_parked"
PARKED_BY_PORTAL = "SELECT count(*) FROM portal_parked"  # what it could not use of RabbitMQ's messages

# One sale's events: staged here, and received there.
STAGED = "SELECT event_id, kind, created_at FROM delivery_outbox WHERE event_key = %s ORDER BY position"
RECEIVED_POSTGRES = "SELECT event_id, received_at FROM delivery_inbox WHERE event_id = ANY (%s::uuid[])"
RECEIVED_MARIADB = "SELECT event_id, received_at FROM delivery_inbox WHERE event_id IN %s"

HOLD = "SELECT placed_at, ended_at, state FROM holds WHERE hold_id = %s"
ORDER_HISTORY = "SELECT at, code, reason FROM order_history WHERE order_id = %s ORDER BY position"

# One event's totals, in each store by itself.
SOLD = "SELECT count(*), count(*) FILTER (WHERE state = 'sold') FROM units WHERE event_id = %s"
CONFIRMED = """
    SELECT count(*), coalesce(sum(payment.amount_minor), 0), min(payment.currency),
           (SELECT count(*) FROM tickets WHERE tickets.event_id = %s)
      FROM orders LEFT JOIN payments AS payment ON payment.order_id = orders.order_id AND payment.state = 'CAPTURED'
     WHERE orders.event_id = %s AND orders.state = 'CONFIRMED'"""
SALES = """
    SELECT count(DISTINCT sales.order_id), count(sale_tickets.ticket_id)
      FROM sales LEFT JOIN sale_tickets USING (order_id)
     WHERE sales.event_id = %s AND sales.state = 'CONFIRMED'"""


@dataclass(frozen=True)
class Backlog:
    """``oldest_s`` is the age of the oldest event that waits: the hop's lag."""

    events: int
    oldest_s: float


@dataclass(frozen=True)
class Passage:
    """One event's way from one service to the next; ``received_at`` is None while it is under way."""

    kind: str
    sender: str
    receiver: str
    staged_at: datetime
    received_at: datetime | None


@dataclass(frozen=True)
class Totals:
    places: int
    sold: int
    confirmed: int
    captured_minor: int
    currency: str
    tickets: int
    sales: int
    sales_tickets: int


class Stores:
    """The three stores, open for reading; each call is answered from what is committed at that moment."""

    def __init__(self, reservation: "psycopg.Connection[Row]", billing: Any, portal: "psycopg.Connection[Row]") -> None:
        self._reservation = reservation
        self._billing = billing
        self._portal = portal

    def backlogs(self) -> dict[str, Backlog]:
        """By the sender's name, which is the stream's."""
        return {
            "reservation": _backlog(self._postgres(self._reservation, BACKLOG_POSTGRES, streams_of("reservation"))),
            "billing": _backlog(self._mariadb(BACKLOG_MARIADB, streams_of("billing"))),
            "portal": _backlog(self._postgres(self._portal, BACKLOG_POSTGRES, streams_of("portal"))),
        }

    def parked(self) -> dict[str, int]:
        """How many events each receiver has set aside, by the receiver's name."""
        return {
            "billing": self._mariadb(PARKED)[0][0],
            "portal": self._postgres(self._portal, PARKED_BY_PORTAL)[0][0],
            "reservation": self._postgres(self._reservation, PARKED)[0][0],
        }

    def totals(self, event_id: str) -> Totals:
        places, sold = self._postgres(self._reservation, SOLD, event_id)[0]
        confirmed, captured, currency, tickets = self._mariadb(CONFIRMED, event_id, event_id)[0]
        sales, sales_tickets = self._postgres(self._portal, SALES, event_id)[0]
        return Totals(places, sold, confirmed, int(captured), currency or "", tickets, sales, sales_tickets)

    def hold(self, hold_id: str) -> tuple[datetime, datetime | None, str]:
        """Placed, ended, and in which state it is."""
        placed, ended, state = self._postgres(self._reservation, HOLD, hold_id)[0]
        return placed, ended, state

    def order_history(self, order_id: str) -> list[tuple[datetime, str, str | None]]:
        return [(_utc(at), code, reason) for at, code, reason in self._mariadb(ORDER_HISTORY, order_id)]

    def passages(self, key: str) -> list[Passage]:
        """Every event of one sale, in the order of its staging."""
        hops = (
            ("reservation", "billing", self._postgres(self._reservation, STAGED, key)),
            ("billing", "portal", self._mariadb(STAGED, key)),
            ("portal", "reservation", self._postgres(self._portal, STAGED, key)),
        )
        found = []
        for sender, receiver, staged in hops:
            arrived = self._arrivals(receiver, [str(event_id) for event_id, _kind, _at in staged])
            found += [
                Passage(kind, sender, receiver, _utc(at), arrived.get(str(event_id))) for event_id, kind, at in staged
            ]
        return sorted(found, key=lambda passage: passage.staged_at)

    def _arrivals(self, receiver: str, event_ids: list[str]) -> dict[str, datetime]:
        if not event_ids:
            return {}
        if receiver == "billing":
            rows = self._mariadb(RECEIVED_MARIADB, event_ids)
        else:
            store = self._portal if receiver == "portal" else self._reservation
            rows = self._postgres(store, RECEIVED_POSTGRES, event_ids)
        return {str(event_id): _utc(at) for event_id, at in rows}

    @staticmethod
    def _postgres(store: "psycopg.Connection[Row]", query: str, *parameters: object) -> list[Row]:
        return store.execute(query.encode(), parameters).fetchall()

    def _mariadb(self, query: str, *parameters: object) -> list[Row]:
        with self._billing.cursor() as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())


@contextmanager
def stores(stack: Stack) -> Iterator[Stores]:
    """Raises OSError or a driver's error when a store cannot be reached."""
    billing = pymysql.connect(
        host="127.0.0.1",
        port=stack.ports.mariadb,
        user="billing",
        password=stack.secrets.get("billing-database"),
        database="billing",
        connect_timeout=3,
        read_timeout=10,
        autocommit=True,
        init_command="SET SESSION TRANSACTION READ ONLY",
    )
    read_only = "-c default_transaction_read_only=on -c statement_timeout=10s"
    with (
        billing,
        psycopg.connect(
            stack.postgres_dsn("reservation"), connect_timeout=3, options=read_only, autocommit=True
        ) as one,
        psycopg.connect(stack.postgres_dsn("portal"), connect_timeout=3, options=read_only, autocommit=True) as two,
    ):
        yield Stores(one, billing, two)


def _backlog(rows: list[Row]) -> Backlog:
    events, oldest_s = rows[0]
    return Backlog(events, float(oldest_s or 0))


def _utc(at: datetime) -> datetime:
    """MariaDB's DATETIME carries no zone; ours are UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
