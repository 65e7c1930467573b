"""The rules of the catalogue: which rows and tiers make an event, and every place it then has.

Laws of this file: pure; raises Refused and knows no HTTP and no store. A place is a place: a numbered seat has a row
and a number, a general-admission place has neither, and nothing else tells them apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from reservation.refusals import Refused
from ticketflow.currencies import EXPONENTS

PLACES_PER_EVENT_MAX = 100_000  # a stadium; places are rows, made in the one request that makes the event
SEATS_PER_HALL_MAX = 100_000


class RowPlan(NamedTuple):
    name: str
    seats: int


class TierPlan(NamedTuple):
    """Either ``rows`` or ``capacity`` is given."""

    name: str
    price_minor: int
    rows: Sequence[str] | None
    capacity: int | None


class PlacePlan(NamedTuple):
    """A place that an event will sell; row and number are None in general admission."""

    tier: str
    label: str
    row: str | None
    number: int | None


def check_hall(rows: Sequence[RowPlan]) -> None:
    """Raises Refused when the rows make no hall."""
    names: set[str] = set()
    for row in rows:
        if row.name in names:
            raise Refused("row_repeated", row=row.name)
        names.add(row.name)
    places = sum(row.seats for row in rows)
    if places > SEATS_PER_HALL_MAX:
        raise Refused("too_many_places", places=places, most=SEATS_PER_HALL_MAX)


def check_event(
    starts_at: datetime, currency: str, tiers: Sequence[TierPlan], hall: Mapping[str, int], now: datetime
) -> None:
    """Raises Refused when the tiers make no event in a hall of ``hall``: row name -> seats. An event whose currency
    nobody can write an amount in could be held and never be paid."""
    if currency not in EXPONENTS:
        raise Refused("currency_unknown", currency=currency)
    if starts_at <= now:
        raise Refused("starts_in_the_past")
    names: set[str] = set()
    rows: set[str] = set()
    for tier in tiers:
        if tier.name in names:
            raise Refused("tier_name_repeated", tier=tier.name)
        if (tier.rows is None) == (tier.capacity is None):
            raise Refused("tier_ambiguous", tier=tier.name)
        names.add(tier.name)
        for row in tier.rows or ():
            if row not in hall:
                raise Refused("row_unknown", row=row)
            if row in rows:
                raise Refused("row_repeated", row=row)
            rows.add(row)
    places = sum(capacity(tier, hall) for tier in tiers)
    if places > PLACES_PER_EVENT_MAX:
        raise Refused("too_many_places", places=places, most=PLACES_PER_EVENT_MAX)


def capacity(tier: TierPlan, hall: Mapping[str, int]) -> int:
    """How many places a tier has."""
    return tier.capacity if tier.capacity is not None else sum(hall[row] for row in tier.rows or ())


def places(tiers: Sequence[TierPlan], hall: Mapping[str, int]) -> Iterator[PlacePlan]:
    """Every place of an event, row by row and seat by seat."""
    for tier in tiers:
        if tier.capacity is not None:
            yield from (PlacePlan(tier.name, tier.name, None, None) for _ in range(tier.capacity))
        for row in tier.rows or ():
            for number in range(1, hall[row] + 1):
                yield PlacePlan(tier.name, f"{row}-{number}", row, number)
