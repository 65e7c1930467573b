"""The SQL of a hold's places at settling: its own, and equal ones when some of those are gone.

Laws: no place is waited for. Who places a hold may wait for one while he has others, and a transaction of the inbox
has the places of many holds: each could wait for the other. Where too few can be had only because others have their
hands on them, the answer is neither yes nor no: Retryable, and the whole transaction is asked again.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from reservation.holds import PLACES_PER_HOLD_MAX, Place
from reservation.moving import Seat, choose
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.postgres import Connection

# Seats to choose from, on either side. More than one hold can have, so that enough are seen whenever there are enough.
NEAR_MAX = 4 * PLACES_PER_HOLD_MAX
CHOICES_MAX = 5  # of seats that turn out to be in others' hands; then those others are given time


class Line(NamedTuple):
    """A line of a hold whose place is locked. ``row`` and ``number`` are None in general admission."""

    unit_id: str
    tier_id: str
    row: str | None
    number: int | None
    place: Place


async def lock_lines(conn: Connection, hold_id: str) -> list[Line]:
    """In the order of unit_id. The hold must be locked. Raises Retryable."""
    rows = await conn.fetch(
        """
        SELECT unit_id::text, tier_id::text, row_name, number, state, hold_id::text, held_until,
               (SELECT count(*) FROM hold_units WHERE hold_id = $1) AS lines
          FROM units WHERE unit_id IN (SELECT unit_id FROM hold_units WHERE hold_id = $1)
         ORDER BY unit_id FOR NO KEY UPDATE SKIP LOCKED
        """,
        hold_id,
    )
    if not rows or len(rows) < rows[0]["lines"]:
        raise _contended()
    return [
        Line(unit_id, tier_id, row_name, number, Place(state, owner, held_until))
        for unit_id, tier_id, row_name, number, state, owner, held_until, _ in rows
    ]


async def move(
    conn: Connection, hold_id: str, lines: Sequence[Line], gone: Sequence[Line], now: datetime
) -> dict[str, str] | None:
    """Gives the hold an equal place for each line of ``gone``; new place by old one. None, and nothing is changed, when
    there are not enough. Raises Retryable."""
    moves: dict[str, str] = {}
    for tier_id, some in groupby(
        sorted(gone, key=lambda line: (line.tier_id, line.unit_id)), lambda line: line.tier_id
    ):
        lost = list(some)
        kept = [line.unit_id for line in lines if line.tier_id == tier_id and line not in lost]
        found = await _instead(conn, lost, kept, now)
        if len(found) < len(lost):
            return None
        moves |= zip((line.unit_id for line in lost), found, strict=True)
    old, new = list(moves), list(moves.values())
    await conn.execute(
        """
        INSERT INTO hold_units (hold_id, unit_id, price_minor)
        SELECT line.hold_id, move.new, line.price_minor
          FROM unnest($2::uuid[], $3::uuid[]) AS move (old, new)
          JOIN hold_units AS line ON line.hold_id = $1 AND line.unit_id = move.old
        """,
        hold_id,
        old,
        new,
    )
    await conn.execute("DELETE FROM hold_units WHERE hold_id = $1 AND unit_id = ANY ($2::uuid[])", hold_id, old)
    return moves


async def _instead(conn: Connection, lost: Sequence[Line], kept: Sequence[str], now: datetime) -> list[str]:
    """Locks as many other places of the tier as are ``lost``; fewer when there are fewer. Raises Retryable."""
    first = lost[0]
    if first.row is not None and first.number is not None:
        return await _other_seats(conn, len(lost), Seat(first.unit_id, first.row, first.number), kept, now)
    places: list[str] | None = await conn.fetchval(
        "SELECT lock_other_general($1, $2, $3, $4)::text[]", first.tier_id, kept, len(lost), now
    )
    if places is None:
        raise _contended()
    return places


async def _other_seats(conn: Connection, wanted: int, near: Seat, kept: Sequence[str], now: datetime) -> list[str]:
    rows = await conn.fetch(
        "SELECT unit_id::text, row_name, number FROM seats_near($1, $2, $3)", near.unit_id, NEAR_MAX, now
    )
    free = {Seat(*row) for row in rows if row["unit_id"] not in kept}
    if len(free) < wanted:
        return []
    for _ in range(CHOICES_MAX):
        chosen = choose(wanted, near, free)
        if chosen is None:
            break
        locked = await _lock_free(conn, [seat.unit_id for seat in chosen], now)
        if len(locked) == wanted:
            return [seat.unit_id for seat in chosen]
        free -= {seat for seat in chosen if seat.unit_id not in locked}
    raise _contended()


async def _lock_free(conn: Connection, seats: Sequence[str], now: datetime) -> set[str]:
    """Those that can still be taken, and that nobody else has locked."""
    rows = await conn.fetch(
        """
        SELECT unit_id::text FROM units WHERE unit_id = ANY ($1::uuid[]) AND can_be_taken(units, $2)
         ORDER BY unit_id FOR NO KEY UPDATE SKIP LOCKED
        """,
        seats,
        now,
    )
    return {row["unit_id"] for row in rows}


def _contended() -> Retryable:
    return Retryable("others have their hands on these places")
