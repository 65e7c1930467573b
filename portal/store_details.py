"""The SQL of what hangs on a sale: tickets, voids, refunds, history.

Every function uses the caller's connection; nothing here commits.
"""

from collections.abc import Iterable, Mapping, Sequence

import asyncpg
from msgspec.structs import replace

from portal.sale import Entry, Refund, Sale
from portal.store_together import STANDING as WHEN
from portal.store_together import Together
from portal.times import at, time_of, us_of
from ticketflow.events import Ticket
from ticketflow.runtime.postgres import Connection

HISTORY_MAX = 200  # of a sale, the newest: no sale has twenty, and no answer may grow without end


def add(together: Together, views: Iterable[Sale]) -> None:
    """The details of ``views``, beside those that are stored, as soon as their sales stand."""
    views = list(views)
    _add_tickets(together, views)
    _add_voided(together, views)
    _add_refunds(together, views)
    _add_history(together, views)


async def added_to(conn: Connection, sales: Sequence[Sale], *, history: bool = True) -> list[Sale]:
    """``sales``, as read without their details, with them; the history only if it is asked for."""
    if not sales:
        return []
    orders = [sale.order_id for sale in sales]
    found = {str(row["order_id"]): row for row in await conn.fetch(_FOUND, orders)}
    histories = await _history(conn, orders) if history else {}
    return [_with(sale, found[sale.order_id], histories.get(sale.order_id, {})) for sale in sales]


# Sale by sale, for the reason of portal.store_claim.
_FOUND = """
    SELECT order_id, tickets, voided, refunds
    FROM (SELECT * FROM unnest($1::uuid[]) LIMIT cardinality($1)) AS wanted (order_id),
         LATERAL (SELECT array_agg(ROW(ticket_id, unit_id, tier, label) ORDER BY label, ticket_id) AS tickets
                  FROM sale_tickets WHERE sale_tickets.order_id = wanted.order_id) AS each_ticket,
         LATERAL (SELECT array_agg(ROW(ticket_id, refund_id) ORDER BY ticket_id) AS voided
                  FROM sale_voided WHERE sale_voided.order_id = wanted.order_id) AS each_void,
         LATERAL (SELECT array_agg(ROW(refund_id, requested_at, done_at, amount_minor, credits_minor, reason)
                                   ORDER BY refund_id) AS refunds
                  FROM sale_refunds WHERE sale_refunds.order_id = wanted.order_id) AS each_refund"""


def _with(sale: Sale, found: asyncpg.Record, history: Mapping[str, Entry]) -> Sale:
    return replace(
        sale,
        tickets={
            str(ticket_id): Ticket(ticket_id=str(ticket_id), unit_id=str(unit_id), tier=tier, label=label)
            for ticket_id, unit_id, tier, label in found["tickets"] or ()
        },
        voided={str(ticket_id): str(refund_id) for ticket_id, refund_id in found["voided"] or ()},
        refunds={
            str(refund_id): Refund(
                requested_at_us=us_of(requested_at),
                done_at_us=us_of(done_at),
                amount_minor=amount_minor,
                credits_minor=credits_minor,
                reason=reason,
            )
            for refund_id, requested_at, done_at, amount_minor, credits_minor, reason in found["refunds"] or ()
        },
        history=history,
    )


async def _history(conn: Connection, orders: Sequence[str]) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {order: {} for order in orders}
    for row in await conn.fetch(
        """
        SELECT wanted.order_id, h.event_id, h.at, h.code, h.reason
        FROM unnest($1::uuid[]) AS wanted (order_id),
             LATERAL (SELECT event_id, at, code, reason FROM sale_history
                      WHERE sale_history.order_id = wanted.order_id ORDER BY at DESC, event_id DESC LIMIT $2) AS h
        ORDER BY h.at, h.event_id
        """,
        orders,
        HISTORY_MAX,
    ):
        found[str(row["order_id"])][str(row["event_id"])] = Entry(us_of(row["at"]), row["code"], row["reason"])
    return found


def _add_tickets(together: Together, views: Sequence[Sale]) -> None:
    together.add_rows(
        "tickets",
        f"""
        INSERT INTO sale_tickets (ticket_id, order_id, unit_id, tier, label)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])
        {WHEN} ON CONFLICT DO NOTHING
        """,  # noqa: S608 - constants
        [
            (ticket.ticket_id, view.order_id, ticket.unit_id, ticket.tier, ticket.label)
            for view in views
            for ticket in view.tickets.values()
        ],
    )


def _add_voided(together: Together, views: Sequence[Sale]) -> None:
    together.add_rows(
        "voided",
        f"""
        INSERT INTO sale_voided (ticket_id, order_id, refund_id)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) {WHEN}
        ON CONFLICT (ticket_id) DO UPDATE SET refund_id = greatest(sale_voided.refund_id, excluded.refund_id)
        WHERE sale_voided.refund_id < excluded.refund_id
        """,  # noqa: S608 - constants
        [
            (ticket_id, view.order_id, refund_id)
            for view in views
            for ticket_id, refund_id in sorted(view.voided.items())
        ],
    )


def _add_refunds(together: Together, views: Sequence[Sale]) -> None:
    together.add_rows(
        "refunds",
        f"""
        INSERT INTO sale_refunds AS known
            (refund_id, order_id, requested_at, done_at, amount_minor, credits_minor, reason)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[],
                             $5::bigint[], $6::bigint[], $7::text[]) {WHEN}
        ON CONFLICT (refund_id) DO UPDATE SET
            requested_at = least(known.requested_at, excluded.requested_at),
            done_at = least(known.done_at, excluded.done_at),
            amount_minor = greatest(known.amount_minor, excluded.amount_minor),
            credits_minor = greatest(known.credits_minor, excluded.credits_minor),
            reason = greatest(known.reason COLLATE "C", excluded.reason COLLATE "C")
        """,  # noqa: S608 - constants; least and greatest pass over NULL: as portal.projection.merge_refunds
        [
            (
                refund_id,
                view.order_id,
                at(refund.requested_at_us),
                at(refund.done_at_us),
                refund.amount_minor,
                refund.credits_minor,
                refund.reason,
            )
            for view in views
            for refund_id, refund in sorted(view.refunds.items())
        ],
    )


def _add_history(together: Together, views: Sequence[Sale]) -> None:
    together.add_rows(
        "history",
        f"""
        INSERT INTO sale_history (event_id, order_id, at, code, reason)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[]) {WHEN}
        ON CONFLICT DO NOTHING
        """,  # noqa: S608 - constants
        [
            (event_id, view.order_id, time_of(entry.at_us), entry.code, entry.reason)
            for view in views
            for event_id, entry in view.history.items()
        ],
    )
