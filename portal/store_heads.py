"""A sale's own row, without what hangs on it: its columns, rows from sales and sales from rows."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from portal.sale import Place, Sale
from portal.times import at, time_of, us_of

COLUMNS = """order_id, state, buyer_id, event_id, event_name, currency, total_minor, expires_at, payment_id, reason,
    authorized_at, refunded_minor, held, moved_to, updated_at"""
# As many rows as the arrays are long, in their order; see arrays_of. For the LIMIT see store_claim.
ROWS = f"""(SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[],
        $8::timestamptz[], $9::uuid[], $10::text[], $11::timestamptz[], $12::bigint[],
        $13::jsonb[], $14::jsonb[], $15::timestamptz[])
        LIMIT cardinality($1::uuid[])) AS new ({COLUMNS})"""  # noqa: S608 - constants

_decoder = msgspec.json.Decoder(tuple[Place, ...])


def arrays_of(sales: Sequence[Sale]) -> list[list[Any]]:
    """One for each of COLUMNS."""
    return [
        [sale.order_id for sale in sales],
        [sale.state for sale in sales],
        [sale.buyer_id for sale in sales],
        [sale.event_id for sale in sales],
        [sale.event_name for sale in sales],
        [sale.currency for sale in sales],
        [sale.total_minor for sale in sales],
        [at(sale.expires_at_us) for sale in sales],
        [sale.payment_id for sale in sales],
        [sale.reason for sale in sales],
        [at(sale.authorized_at_us) for sale in sales],
        [sale.refunded_minor for sale in sales],
        [_json(sale.held) for sale in sales],
        [_json(sale.moved_to) for sale in sales],
        [time_of(sale.updated_at_us) for sale in sales],
    ]


def head_of(row: Iterable[Any]) -> Sale:
    """The sale, without its tickets and history, from the values of COLUMNS."""
    (
        order_id,
        state,
        buyer_id,
        event_id,
        event_name,
        currency,
        total_minor,
        expires_at,
        payment_id,
        reason,
        authorized_at,
        refunded_minor,
        held,
        moved_to,
        updated_at,
    ) = row
    return Sale(
        order_id=str(order_id),
        state=state,
        buyer_id=buyer_id,
        event_id=_text(event_id),
        event_name=event_name,
        currency=currency,
        total_minor=total_minor,
        expires_at_us=us_of(expires_at),
        payment_id=_text(payment_id),
        reason=reason,
        authorized_at_us=us_of(authorized_at),
        refunded_minor=refunded_minor,
        held=_places(held),
        moved_to=_places(moved_to),
        updated_at_us=us_of(updated_at),
    )


def _json(places: tuple[Place, ...] | None) -> str | None:
    return None if places is None else msgspec.json.encode(places).decode()


def _places(text: str | None) -> tuple[Place, ...] | None:
    return None if text is None else _decoder.decode(text)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
