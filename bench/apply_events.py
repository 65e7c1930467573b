"""What reservation tells billing, in numbers: hold.placed of two seats each, encoded as they come over the feed."""

import time

from ticketflow.events import HoldLine, HoldPlaced, encode, envelope_for, new_id

SEATS = 2


def placed(count: int) -> list[bytes]:
    """``count`` holds of the same ticketed event, each another buyer's."""
    event_id, now_us = new_id(), time.time_ns() // 1000
    return [_placed(event_id, f"buyer-{n}", now_us) for n in range(count)]


def _placed(event_id: str, buyer_id: str, now_us: int) -> bytes:
    hold_id = new_id()
    hold = HoldPlaced(
        hold_id=hold_id,
        event_id=event_id,
        event_name="The Winter's Tale",
        buyer_id=buyer_id,
        currency="EUR",
        total_minor=SEATS * 4500,
        lines=[HoldLine(unit_id=new_id(), tier="Stalls", label=f"D-{seat}", price_minor=4500) for seat in range(SEATS)],
        placed_at_us=now_us,
        expires_at_us=now_us + 600_000_000,
        grace_s=120,
    )
    return encode(envelope_for(hold, key=hold_id, correlation_id=new_id()))
