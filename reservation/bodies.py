"""The bodies that the HTTP API takes and gives, as types: OpenAPI is made from them.

Unknown fields are refused: a misspelt option must not be silently without effect. Bounds that have a code of their own
(`bad_quantity`, `too_many_seats`) are checked by the rules, not here.
"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

# `(?!\n)`: Python's `$` also matches before a last line break.
BuyerId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$(?!\n)", description="opaque name of the buyer")]
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,120}$(?!\n)", description="1 to 120 printable characters")]
RowName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,16}$(?!\n)", description="1 to 16 printable characters")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217")]
Id = Annotated[str, Meta(max_length=64, description="UUIDv7 in lower case")]
PriceMinor = Annotated[int, Meta(ge=0, le=100_000_000, description="minor units of the event's currency")]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Late = Annotated[
    Literal["refund", "same_tier"],
    Meta(
        description="what to do when the money comes after the hold's time and seats of it are gone: `refund` gives the"
        " money back; `same_tier` takes equal places of the same tiers for those that are gone, at the hold's price,"
        " and gives the money back only if there are not enough"
    ),
]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a caller sends. Encoded without defaults: a request's fingerprint survives a release that adds a field."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller gets."""


# -- holds


class GeneralWish(Body, frozen=True, kw_only=True):
    tier: Name
    quantity: int


class PlaceHold(Body, frozen=True, kw_only=True):
    event_id: Id
    buyer_id: BuyerId
    seats: list[Id] = []
    general: list[GeneralWish] = []
    late: Late = "refund"


class Line(Answer, frozen=True, kw_only=True):
    unit_id: str
    tier: str
    label: str
    price_minor: int


class Hold(Answer, frozen=True, kw_only=True):
    hold_id: str
    order_id: str
    state: Literal["HELD", "RELEASED", "EXPIRED", "SOLD"]
    event_id: str
    buyer_id: str
    lines: list[Line]
    total_minor: int
    currency: str
    placed_at: datetime
    expires_at: datetime


class HoldPlaced(Hold, frozen=True, kw_only=True):
    """The first answer: the only one with the token."""

    token: str


class HoldSeen(Hold, frozen=True, kw_only=True):
    """`moved`: it was paid late, and `lines` are the places it was sold instead of its own."""

    seconds_left: int
    late: Late
    moved: bool


# -- catalogue


class MakeVenue(Body, frozen=True, kw_only=True):
    name: Name
    city: Name | None = None


class Venue(Answer, frozen=True, kw_only=True):
    venue_id: str
    name: str
    city: str | None


class Row(Body, frozen=True, kw_only=True):
    row: RowName
    seats: Annotated[int, Meta(ge=1, le=1000)]


class MakeHall(Body, frozen=True, kw_only=True):
    venue_id: Id
    name: Name
    rows: Annotated[list[Row], Meta(min_length=1, max_length=1000)]


class Hall(Answer, frozen=True, kw_only=True):
    hall_id: str
    venue_id: str
    name: str
    rows: list[Row]


class VenueWithHalls(Venue, frozen=True, kw_only=True):
    halls: list[Hall]


class MakeTier(Body, frozen=True, kw_only=True):
    """Either `rows` of the hall (numbered seats) or a `capacity` (general admission)."""

    name: Name
    price_minor: PriceMinor
    rows: Annotated[list[RowName], Meta(min_length=1, max_length=1000)] | None = None
    capacity: Count | None = None


class MakeEvent(Body, frozen=True, kw_only=True):
    hall_id: Id
    name: Name
    starts_at: Annotated[datetime, Meta(tz=True)]
    currency: Currency
    tiers: Annotated[list[MakeTier], Meta(min_length=1, max_length=100)]
    hold_ttl_s: Annotated[int, Meta(ge=5, le=1800)] = 300
    grace_s: Annotated[int, Meta(ge=0, le=600)] = 60
    seats_per_hold_max: Annotated[int, Meta(ge=1, le=50)] = 10


class Tier(Answer, frozen=True, kw_only=True):
    """A tier with the places that are free, held and sold at the moment."""

    name: str
    price_minor: int
    numbered: bool
    capacity: int
    free: int
    held: int
    sold: int


class Event(Answer, frozen=True, kw_only=True):
    """`closed_at`: since when no hold is placed, by the organiser's wish; null while it is open."""

    event_id: str
    hall_id: str
    name: str
    starts_at: datetime
    currency: str
    hold_ttl_s: int
    grace_s: int
    seats_per_hold_max: int
    closed_at: datetime | None


class EventWithTiers(Event, frozen=True, kw_only=True):
    tiers: list[Tier]


class Seat(Answer, frozen=True, kw_only=True):
    seat_id: str
    label: str
    row: str
    number: int
    tier: str
    state: Literal["free", "held", "sold"]


class Availability(Answer, frozen=True, kw_only=True):
    event_id: str
    as_of: datetime
    tiers: list[Tier]
    seats: list[Seat]


# -- lists


class PageQuery(Body, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    after: Id | None = None


class Venues(Answer, frozen=True, kw_only=True):
    items: list[Venue]
    next: str | None


class Events(Answer, frozen=True, kw_only=True):
    items: list[Event]
    next: str | None
