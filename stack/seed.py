"""Seed data by the admin API: one venue, a hall, two events. Repeating it changes nothing.

The ids are kept in the run folder. Fixed Idempotency-Keys make a seeding that was cut off half-way safe to repeat.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from stack.shop import Shop, open_shop
from stack.stack import Stack

ROWS = [{"row": row, "seats": 20} for row in "ABCDEF"]
STARTS_AT = "2035-06-16T18:00:00Z"  # far away: an event that has begun sells nothing
NUMBERED: Mapping[str, object] = {
    "name": "Opening Night",
    "tiers": [
        {"name": "Stalls", "price_minor": 6500, "rows": ["A", "B", "C"]},
        {"name": "Circle", "price_minor": 3900, "rows": ["D", "E", "F"]},
    ],
}
GENERAL: Mapping[str, object] = {
    "name": "Club Night",
    "tiers": [{"name": "Floor", "price_minor": 2500, "capacity": 200}],
}


@dataclass(frozen=True)
class Seeded:
    venue_id: str
    hall_id: str
    event_ids: list[str]


def seed(stack: Stack) -> Seeded:
    """Raises StackError."""
    return asyncio.run(_seed(stack))


async def _seed(stack: Stack) -> Seeded:
    kept = stack.settings.run / "seed.json"
    async with open_shop(stack.settings.base_url, stack.secrets.get("admin-key")) as shop:
        if kept.exists():
            seeded = Seeded(**json.loads(kept.read_text()))
            if (await shop.get(f"/api/v1/events/{seeded.event_ids[-1]}")).ok:
                return seeded
        seeded = await _create(shop)
    fresh = kept.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(seeded)) + "\n")
    fresh.rename(kept)
    return seeded


async def _create(shop: Shop) -> Seeded:
    venue = await shop.admin("/api/v1/admin/venues", {"name": "Harbour House", "city": "Hamburg"}, "seed-venue")
    venue_id = venue.expect("the seed's venue")["venue_id"]
    hall = await shop.admin(
        "/api/v1/admin/halls", {"venue_id": venue_id, "name": "Great Hall", "rows": ROWS}, "seed-hall"
    )
    hall_id = hall.expect("the seed's hall")["hall_id"]
    event_ids = [
        await create_event(shop, hall_id, NUMBERED, "seed-event-1"),
        await create_event(shop, hall_id, GENERAL, "seed-event-2"),
    ]
    return Seeded(venue_id, hall_id, event_ids)


async def create_event(shop: Shop, hall_id: str, event: Mapping[str, object], key: str | None = None) -> str:
    """Creates a ticketed event (name and tiers) and returns its id."""
    body = {"hall_id": hall_id, "starts_at": STARTS_AT, "currency": "EUR", **event}
    created = await shop.admin("/api/v1/admin/events", body, key)
    return str(created.expect(f"the event {event['name']}")["event_id"])
