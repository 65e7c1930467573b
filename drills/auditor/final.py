"""Everything that the stores know of one ticketed event and of the time since its drill began, for the history."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from drills.auditor import queries
from drills.auditor.settings import AuditorSettings
from drills.auditor.stores import Row, Stores, mariadb, postgres
from drills.auditor.web import Web
from drills.errors import AuditFailed
from drills.history import Charge, Hold, Order, Payment, Received, Sale, Staged, Stream, Ticket, Unit
from drills.history import Stores as Found
from ticketflow.runtime.mariadb import Connection as MariaDBConnection
from ticketflow.runtime.postgres import Connection as PostgresConnection

End = tuple[list[Row], list[Row]]  # the stream's row, and its events
Ends = dict[tuple[str, str], End]  # by the stream's name, and "sender" or "receiver"

PAGE = 1000  # authorizations a request; the provider gives no more
RECEIVER = {"reservation": "billing", "billing": "portal", "portal": "reservation"}


async def read(settings: AuditorSettings, stores: Stores, web: Web, event_id: str, since_s: float) -> Found:
    """Each store in one transaction. Raises AuditFailed, Unavailable or Indefinite."""
    ends: Ends = {}
    async with stores.reservation.snapshot() as conn:
        now_s = float((await postgres(conn, queries.NOW))[0][0])
        units = [Unit(*row) for row in await postgres(conn, queries.UNITS, event_id)]
        holds = [Hold(*_tupled(row)) for row in await postgres(conn, queries.HOLDS, event_id)]
        parked = {"reservation": (await postgres(conn, queries.PARKED))[0][0]}
        ends["reservation", "sender"] = await _postgres_sender(conn, "reservation", since_s)
        ends["portal", "receiver"] = await _postgres_receiver(conn, "portal", queries.RECEIVED_POSTGRES, since_s)
    async with stores.billing.transaction() as conn:
        orders, payments, tickets = await _billing(conn, event_id)
        parked["billing"] = (await mariadb(conn, queries.PARKED))[0][0]
        ends["billing", "sender"] = await _mariadb_sender(conn, "billing", since_s)
        ends["reservation", "receiver"] = await _mariadb_receiver(conn, "reservation", since_s)
    async with stores.portal.snapshot() as conn:
        sales = await _sales(conn, event_id)
        parked["portal"] = (await postgres(conn, queries.PARKED_BY_PORTAL))[0][0]
        ends["portal", "sender"] = await _postgres_sender(conn, "portal", since_s)
        ends["billing", "receiver"] = await _postgres_receiver(conn, "billing", queries.RECEIVED_BY_PORTAL, since_s)
    earlier = {name: await _earlier(stores, name, ends, since_s) for name in RECEIVER}
    return Found(
        read_at_s=now_s,
        units=tuple(units),
        holds=tuple(holds),
        orders=tuple(orders),
        payments=tuple(payments),
        tickets=tuple(tickets),
        sales=tuple(sales),
        charges=tuple(await _charges(settings, web, since_s)),
        streams=tuple(_stream(name, ends[name, "sender"], ends[name, "receiver"], earlier[name]) for name in RECEIVER),
        parked=parked,
    )


# -- what the stores hold


async def _billing(conn: MariaDBConnection, event_id: str) -> tuple[list[Order], list[Payment], list[Ticket]]:
    seats: dict[str, list[str]] = defaultdict(list)
    prices: dict[tuple[str, str], int] = {}
    for order_id, seat, price_minor in await mariadb(conn, queries.ORDER_LINES, event_id):
        seats[order_id].append(seat)
        prices[order_id, seat] = price_minor
    orders = [
        Order(order_id, buyer, state, tuple(seats[order_id]), total, float(created_s))
        for order_id, buyer, state, total, created_s in await mariadb(conn, queries.ORDERS, event_id)
    ]
    payments = [Payment(*row) for row in await mariadb(conn, queries.PAYMENTS, event_id)]
    tickets = [
        Ticket(ticket_id, order_id, seat, prices[order_id, seat], float(issued_s))
        for ticket_id, order_id, seat, issued_s in await mariadb(conn, queries.TICKETS, event_id)
    ]
    return orders, payments, tickets


async def _sales(conn: PostgresConnection, event_id: str) -> list[Sale]:
    tickets: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for order_id, ticket_id, seat in await postgres(conn, queries.SALE_TICKETS, event_id):
        tickets[order_id].append((ticket_id, seat))
    return [
        Sale(order_id, buyer, state, tuple(tickets[order_id]))
        for order_id, buyer, state in await postgres(conn, queries.SALES, event_id)
    ]


async def _charges(settings: AuditorSettings, web: Web, since_s: float) -> list[Charge]:
    """The provider's books, page by page: also what no payment of ours asks for any more."""
    found: list[Charge] = []
    while True:
        url = f"{settings.provider_url}/v1/authorizations?since_us={int(since_s * 1e6)}&limit={PAGE}"
        if found:
            url += f"&after={found[-1].authorization_id}"
        text = await web.text(url, {"Authorization": f"Bearer {settings.provider_key}"})
        if text is None:
            raise AuditFailed("the payment provider does not show its books")
        page = msgspec.json.decode(text)["items"]
        found += [Charge(*(entry[name] for name in Charge.__struct_fields__)) for entry in page]
        if len(page) < PAGE:
            return found


# -- the streams


async def _postgres_sender(conn: PostgresConnection, stream: str, since_s: float) -> End:
    return (
        await postgres(conn, queries.SENDER_POSTGRES, stream),
        await postgres(conn, queries.STAGED_POSTGRES, stream, since_s),
    )


async def _postgres_receiver(conn: PostgresConnection, stream: str, received: str, since_s: float) -> End:
    return (
        await postgres(conn, queries.RECEIVER_POSTGRES, stream),
        await postgres(conn, received, stream, since_s),
    )


async def _mariadb_sender(conn: MariaDBConnection, stream: str, since_s: float) -> End:
    return (
        await mariadb(conn, queries.SENDER_MARIADB, stream),
        await mariadb(conn, queries.STAGED_MARIADB, stream, since_s),
    )


async def _mariadb_receiver(conn: MariaDBConnection, stream: str, since_s: float) -> End:
    return (
        await mariadb(conn, queries.RECEIVER_MARIADB, stream),
        await mariadb(conn, queries.RECEIVED_MARIADB, stream, since_s),
    )


async def _earlier(stores: Stores, stream: str, ends: Ends, since_s: float) -> set[str]:
    """Received since the drill began, but staged before it: none of the drill's business."""
    staged = {row[0] for row in ends[stream, "sender"][1]}
    others = [row[0] for row in ends[stream, "receiver"][1] if row[0] not in staged]
    if not others:
        return set()
    if stream == "billing":
        async with stores.billing.transaction() as conn:
            return {row[0] for row in await mariadb(conn, queries.EARLIER_MARIADB, others, since_s)}
    async with (stores.reservation if stream == "reservation" else stores.portal).snapshot() as conn:
        return {row[0] for row in await postgres(conn, queries.EARLIER_POSTGRES, others, since_s)}


def _stream(name: str, sender: End, receiver: End, earlier: set[str]) -> Stream:
    epoch, last_seq, acked_seq, _ = sender[0][0] if sender[0] else (0, 0, 0, 0)
    receiver_epoch, watermark = receiver[0][0] if receiver[0] else (None, None)
    return Stream(
        name=name,
        receiver=RECEIVER[name],
        epoch=epoch,
        last_seq=last_seq,
        acked_seq=acked_seq,
        receiver_epoch=receiver_epoch,
        watermark=watermark,
        staged=tuple(Staged(event_id, kind, key, seq) for event_id, kind, key, seq in sender[1]),
        received=tuple(Received(*row) for row in receiver[1] if row[0] not in earlier),
    )


def _tupled(row: Sequence[Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in row]
