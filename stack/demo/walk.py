"""The walk of one sale, hop by hop, from the rows that each store wrote about it."""

from datetime import datetime

from stack.queries import Stores

BY = {"reservation": "feed", "billing": "feed, bridge, RabbitMQ", "portal": "feed"}


def lines(stores: Stores, hold_id: str) -> list[str]:
    """One line a hop: milliseconds since the hold, where, what."""
    placed_at, ended_at, state = stores.hold(hold_id)
    found: list[tuple[datetime, str, str]] = [(placed_at, "reservation", "seat held, POST /api/v1/holds answered 201")]
    if ended_at is not None:
        found.append((ended_at, "reservation", f"seat {state}"))
    for at, code, reason in stores.order_history(hold_id):
        found.append((at, "billing", code.replace("_", " ") + (f" ({reason})" if reason else "")))
    for passage in stores.passages(hold_id):
        if passage.received_at is None:
            found.append((passage.staged_at, passage.receiver, f"{passage.kind} is still under way"))
            continue
        way_ms = (passage.received_at - passage.staged_at).total_seconds() * 1000
        text = f"{passage.kind} arrived from {passage.sender} ({BY[passage.sender]}: {way_ms:.1f} ms)"
        found.append((passage.received_at, passage.receiver, text))
    found.sort(key=lambda entry: entry[0])
    return [f"{(at - placed_at).total_seconds() * 1000:9.1f} ms  {where:<12} {what}" for at, where, what in found]
