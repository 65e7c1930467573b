"""The rules of a wish for places, as far as they need no store.

Laws of this file: pure; raises Refused and knows no HTTP. What depends on the event (its own limit, its seats and
tiers) is decided in the transaction, by place_hold in schema/0003.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reservation.holds import PLACES_PER_HOLD_MAX
from reservation.refusals import Refused
from ticketflow.events import is_id


class Wish(NamedTuple):
    """What a buyer asks for: numbered seats by id, general admission by tier name and quantity."""

    event_id: str
    buyer_id: str
    seats: tuple[str, ...]
    general: Mapping[str, int]
    late: str


def check(
    event_id: str, buyer_id: str, seats: Iterable[str], general: Iterable[tuple[str, int]], late: str = "refund"
) -> Wish:
    """The wish, if it can be one. Raises Refused."""
    seats, general = tuple(seats), tuple(general)
    for number, (_, quantity) in enumerate(general):
        if quantity < 1:
            raise Refused("bad_quantity", field=f"general[{number}].quantity")
    places = len(seats) + sum(quantity for _, quantity in general)
    if places == 0:
        raise Refused("nothing_requested")
    if places > PLACES_PER_HOLD_MAX:
        raise Refused("too_many_seats", most=PLACES_PER_HOLD_MAX)
    check_id("event_id", event_id)
    for number, seat in enumerate(seats):
        check_id(f"seats[{number}]", seat)
    if len(set(seats)) < len(seats):
        raise Refused("seat_repeated")
    wanted = dict(general)
    if len(wanted) < len(general):
        raise Refused("tier_repeated")
    return Wish(event_id, buyer_id, seats, wanted, late)


def check_id(field: str, text: str) -> None:
    """Raises Refused `bad_id` unless ``text`` is an id."""
    if not is_id(text):
        raise Refused("bad_id", field=field)
