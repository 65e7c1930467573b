"""Every refusal of this service: its code, its HTTP status, and what the caller is told.

Laws: codes are stable, clients decide by them. A refusal is a decision; faults (a store that is down) are not here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Kind(NamedTuple):
    status: int
    detail: str  # may name the refusal's facts in braces


KINDS: dict[str, Kind] = {
    # The wish for places
    "bad_id": Kind(422, "`{field}` is no id: ids are UUIDv7 in lower case"),
    "nothing_requested": Kind(422, "name at least one seat in `seats`, or a tier and a quantity in `general`"),
    "bad_quantity": Kind(422, "`{field}` must be at least 1"),
    "too_many_seats": Kind(422, "a hold may have at most {most} places"),
    "seat_repeated": Kind(422, "a seat is named more than once in `seats`"),
    "tier_repeated": Kind(422, "a tier is named more than once in `general`: add the quantities up"),
    "event_unknown": Kind(404, "there is no such event"),
    "event_closed": Kind(409, "no hold is placed for this event: it has begun, or was closed"),
    "seat_unknown": Kind(404, "the event has no such numbered seat; `seats` of this answer lists them"),
    "tier_unknown": Kind(404, "the event has no general-admission tier of the name `tier`"),
    "seat_unavailable": Kind(409, "not all of it is free; `unavailable` lists what is not, and nothing is held"),
    # The hold
    "hold_token_missing": Kind(401, "send the hold's token in the header X-Hold-Token"),
    "hold_token_wrong": Kind(403, "the token in X-Hold-Token is not this hold's"),
    "hold_unknown": Kind(404, "there is no such hold"),
    "hold_sold": Kind(409, "the hold is sold and can no longer be released"),
    "hold_expired": Kind(410, "the hold's time is over; place a new one"),
    "idempotency_mismatch": Kind(
        422, "this Idempotency-Key was used for another request; a new request takes a new key"
    ),
    # The catalogue
    "venue_unknown": Kind(404, "there is no such venue"),
    "hall_unknown": Kind(404, "there is no such hall"),
    "row_unknown": Kind(422, "the hall has no row `{row}`"),
    "row_repeated": Kind(422, "the row `{row}` is named more than once"),
    "tier_name_repeated": Kind(422, "two tiers are named `{tier}`"),
    "tier_ambiguous": Kind(
        422, "tier `{tier}` must have either `rows` (numbered seats) or `capacity` (general admission)"
    ),
    "too_many_places": Kind(422, "{places} places are too many: at most {most} are allowed"),
    "currency_unknown": Kind(422, "`{currency}` is no currency of ISO 4217"),
    "starts_in_the_past": Kind(422, "`starts_at` is not in the future"),
}


class Refused(Exception):
    """A decision against the caller. ``facts`` go into the answer beside the code."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts: Mapping[str, Any] = facts

    @property
    def status(self) -> int:
        return KINDS[self.code].status

    @property
    def detail(self) -> str:
        return KINDS[self.code].detail.format_map(self.facts)
