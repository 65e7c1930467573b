"""What a batch takes before it writes, in one statement: streams' positions, dedup keys, sales. Nothing here commits.

Laws of this file:
- Locks are taken in one order: positions by stream, then dedup keys, then sales, each by id. So two consumers, during a
  change of the active one, cannot wait for each other. In one statement the order is that in which one part reads what
  another returns.
- What was waited for is read as it is after the wait, a row's lock sees to that. A sale that was made meanwhile is not
  found, and found out when it is to be made.
- Row by row, in the order of the array: a plan for an array, made while the table is empty, walks over it for ever.
- An array has a LIMIT, which is its length: of one that it does not know yet the planner expects ten rows, with a LIMIT
  a tenth of that. Else the plan for all arrays looks dearer to it than one for each short one, and it plans every time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from portal.positions import Position
from portal.sale import Sale
from portal.store_heads import COLUMNS, head_of
from portal.store_streams import POSITION, position_of
from ticketflow.runtime.postgres import Connection


class Coming(NamedTuple):
    """An event as it is to be recorded, in the order of their locks."""

    event_id: str
    stream: str
    seq: int | None  # None when it does not count there
    key: str


class Claim(NamedTuple):
    """``new``: the events that had not been recorded; None when the positions are others than was supposed. Then
    nothing but them is locked. ``heads``: the sales that are known."""

    positions: Mapping[str, Position]
    new: set[str] | None
    heads: Sequence[Sale]


LOCKED = f"""SELECT found.*
    FROM (SELECT * FROM unnest($1::uuid[]) LIMIT cardinality($1)) AS wanted (order_id) CROSS JOIN LATERAL (
        SELECT {COLUMNS} FROM sales WHERE sales.order_id = wanted.order_id OFFSET 0 FOR UPDATE
    ) AS found"""  # noqa: S608 - constants
CLAIM = f"""
    WITH place AS (
        SELECT found.*, found.epoch = wanted.epoch AS as_supposed
        FROM (SELECT * FROM unnest($1::text[], $2::bigint[]) LIMIT cardinality($1)) AS wanted (stream, epoch),
        LATERAL (
            SELECT {POSITION} FROM portal_stream WHERE portal_stream.stream = wanted.stream OFFSET 0 FOR UPDATE
        ) AS found
    ), supposed AS (
        SELECT count(*) FILTER (WHERE as_supposed) = cardinality($1) AS holds FROM place
    ), new AS (
        INSERT INTO delivery_inbox (event_id, stream, seq, event_key)
        SELECT * FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::text[]) WHERE (SELECT holds FROM supposed)
        ON CONFLICT (event_id) DO NOTHING RETURNING event_id::text
    ), recorded AS (
        SELECT count(*) AS events FROM new
    ), head AS (
        SELECT found.*
        FROM recorded, (SELECT * FROM unnest($7::uuid[]) LIMIT cardinality($7)) AS wanted (order_id), LATERAL (
            SELECT {COLUMNS} FROM sales WHERE sales.order_id = wanted.order_id AND recorded.events > 0
            OFFSET 0 FOR UPDATE
        ) AS found
    )
    SELECT (SELECT array_agg(ROW({POSITION})) FROM place), (SELECT holds FROM supposed),
           (SELECT array_agg(event_id) FROM new), (SELECT array_agg(head) FROM head)"""  # noqa: S608 - constants


async def claim(conn: Connection, epochs: Mapping[str, int], coming: Iterable[Coming], orders: Iterable[str]) -> Claim:
    """Locks the positions of the streams in ``epochs``; if they are known and in those epochs, records ``coming``, and
    if any was new, locks those of ``orders`` that are known."""
    streams = sorted(epochs)
    columns = list(zip(*sorted(coming), strict=True)) or [()] * len(Coming._fields)
    ids, names, seqs, keys = columns
    row = await conn.fetchrow(
        CLAIM, streams, [epochs[stream] for stream in streams], ids, names, seqs, keys, sorted(orders)
    )
    assert row is not None
    places, holds, new, heads = row
    return Claim(
        dict(map(position_of, places or ())),
        set(new or ()) if holds else None,
        [head_of(head) for head in heads or ()],
    )


async def locked(conn: Connection, orders: Sequence[str]) -> list[Sale]:
    """Those of ``orders``, ids in order, that are known, locked until the transaction ends."""
    return [head_of(row) for row in await conn.fetch(LOCKED, orders)] if orders else []
