"""The ticketed event that a drill sells: its own, so that every place of it can be accounted for."""

import uuid
from dataclasses import dataclass
from typing import Any

from drills.errors import ShopFailed
from drills.history import Show
from drills.shop import Answer, Shop

ROW_SEATS = 50
SEATED_MINOR, STANDING_MINOR = 2500, 1500
SEATED, STANDING = "seated", "standing"
HOLD_TTL_S = 20  # shorter than any drill, so that no-shows and late payers end within it
# Settling waits while a part of the ring is away, 25 s at most: whoever has paid must not lose his seats by that.
GRACE_S = 40
SEATS_PER_HOLD_MAX = 4


@dataclass(frozen=True)
class Hall:
    """``seats``: the ids of the numbered ones. ``standing``: how many there are besides."""

    show: Show
    seats: tuple[str, ...]
    standing: int


async def make(
    shop: Shop,
    admin_key: str,
    *,
    name: str,
    seats: int,
    standing: int,
    hold_ttl_s: int = HOLD_TTL_S,
    grace_s: int = GRACE_S,
) -> Hall:
    """A new event: ``seats`` numbered ones, rounded up to whole rows, and ``standing`` others. Raises ShopFailed."""

    async def admin(what: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {admin_key}", "Idempotency-Key": str(uuid.uuid4())}
        return _expect(await shop.insist("POST", f"/api/v1/admin/{what}", body, headers=headers), what)

    rows = [f"R{number}" for number in range(1, -(-seats // ROW_SEATS) + 1)]
    venue = await admin("venues", {"name": "Drill ground"})
    hall = await admin(
        "halls",
        {
            "venue_id": venue["venue_id"],
            "name": name,
            "rows": [{"row": row, "seats": ROW_SEATS} for row in rows],
        },
    )
    event = await admin(
        "events",
        {
            "hall_id": hall["hall_id"],
            "name": name,
            "starts_at": "2099-01-01T20:00:00Z",
            "currency": "EUR",
            "tiers": [
                {"name": SEATED, "price_minor": SEATED_MINOR, "rows": rows},
                {"name": STANDING, "price_minor": STANDING_MINOR, "capacity": standing},
            ],
            "hold_ttl_s": hold_ttl_s,
            "grace_s": grace_s,
            "seats_per_hold_max": SEATS_PER_HOLD_MAX,
        },
    )
    path = f"/api/v1/events/{event['event_id']}/availability"
    ids = tuple(seat["seat_id"] for seat in _expect(await shop.insist("GET", path), "availability")["seats"])
    show = Show(event["event_id"], len(ids) + standing, hold_ttl_s, grace_s)
    return Hall(show, ids, standing)


def _expect(answer: Answer, what: str) -> Any:
    if not answer.ok:
        said = f"{answer.status} {answer.code}".strip()
        raise ShopFailed(f"{what}: {said} after {answer.attempts} attempts: {answer.content[:200].decode()}")
    return answer.json()
