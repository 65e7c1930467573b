"""Venues, halls, events: made by the organiser, seen by everybody."""

from typing import Any

import pytest

from tests.support.buyer import Answer, Buyer, Shop
from ticketflow.events import new_id

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


async def test_from_venue_to_availability(shop: Shop) -> None:
    venue = await shop.admin("venues", {"name": "Old Theatre", "city": "Ghent"})
    rows = [{"row": "A", "seats": 2}, {"row": "B", "seats": 1}]
    hall = await shop.admin("halls", {"venue_id": venue["venue_id"], "name": "Main", "rows": rows})
    made = await shop.admin(
        "events",
        {
            "hall_id": hall["hall_id"],
            "name": "Première",
            "starts_at": "2099-01-01T20:00:00+01:00",
            "currency": "EUR",
            "tiers": [
                {"name": "front", "price_minor": 5000, "rows": ["A"]},
                {"name": "back", "price_minor": 3000, "rows": ["B"]},
                {"name": "standing", "price_minor": 0, "capacity": 3},
            ],
        },
    )
    assert (await shop.call("GET", f"/api/v1/venues/{venue['venue_id']}")).body == venue | {"halls": [hall]}
    event = (await shop.call("GET", f"/api/v1/events/{made['event_id']}")).body
    assert event == made
    assert (event["hold_ttl_s"], event["grace_s"], event["seats_per_hold_max"]) == (300, 60, 10)
    assert event["starts_at"] == "2099-01-01T19:00:00Z"
    availability = (await shop.call("GET", f"/api/v1/events/{made['event_id']}/availability")).body
    assert availability["tiers"] == event["tiers"]
    assert [(tier["name"], tier["numbered"], tier["capacity"], tier["free"]) for tier in event["tiers"]] == [
        ("front", True, 2, 2),
        ("back", True, 1, 1),
        ("standing", False, 3, 3),
    ]
    assert [
        (seat["label"], seat["row"], seat["number"], seat["tier"], seat["state"]) for seat in availability["seats"]
    ] == [
        ("A-1", "A", 1, "front", "free"),
        ("A-2", "A", 2, "front", "free"),
        ("B-1", "B", 1, "back", "free"),
    ]


async def test_availability_counts_by_tier_and_shows_every_seat(shop: Shop) -> None:
    event = await shop.event(seats=3, standing=2)
    await Buyer(shop).hold(event, event.seats[1:2], standing=1)
    availability = await event.availability()
    assert [(tier["free"], tier["held"], tier["sold"]) for tier in availability["tiers"]] == [(2, 1, 0), (1, 1, 0)]
    assert [seat["state"] for seat in availability["seats"]] == ["free", "held", "free"]


async def test_lists_are_read_page_by_page(shop: Shop) -> None:
    made = [(await shop.event(seats=1)).event_id for _ in range(3)]
    seen: list[str] = []
    after = ""
    while True:
        page = (await shop.call("GET", f"/api/v1/events?limit=2{after}")).body
        assert len(page["items"]) <= 2
        seen += [event["event_id"] for event in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == len(set(seen))
    assert set(made) <= set(seen)
    venues = (await shop.call("GET", "/api/v1/venues?limit=1")).body
    assert len(venues["items"]) == 1
    assert venues["next"] == venues["items"][0]["venue_id"]


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=101", "limit=many", "after=17", "page=2"])
async def test_a_page_that_cannot_be(shop: Shop, query: str) -> None:
    answer = await shop.call("GET", f"/api/v1/events?{query}")
    assert answer.status == 422
    assert answer.code in ("bad_query", "bad_id")


@pytest.mark.parametrize("path", [f"venues/{UNKNOWN}", f"events/{UNKNOWN}", f"events/{UNKNOWN}/availability"])
async def test_what_is_not_there(shop: Shop, path: str) -> None:
    answer = await shop.call("GET", f"/api/v1/{path}")
    assert (answer.status, answer.code) == (404, f"{path[:5]}_unknown")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic dGVzdA=="])
async def test_only_the_admin_makes_things(shop: Shop, header: str | None) -> None:
    headers = {"Idempotency-Key": new_id()} | ({"Authorization": header} if header else {})
    answer = await shop.call("POST", "/api/v1/admin/venues", {"name": "Mine"}, headers=headers)
    assert (answer.status, answer.code) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"venue_id": UNKNOWN}, 404, "venue_unknown"),
        ({"venue_id": "17"}, 422, "bad_id"),
        ({"rows": []}, 422, "bad_body"),
        ({"rows": [{"row": "A", "seats": 0}]}, 422, "bad_body"),
        ({"rows": [{"row": "A", "seats": -3}]}, 422, "bad_body"),
        ({"rows": [{"row": "", "seats": 3}]}, 422, "bad_body"),
        ({"rows": [{"row": "A\u0000", "seats": 3}]}, 422, "bad_body"),
        ({"rows": [{"row": "A", "seats": 3}, {"row": "A", "seats": 2}]}, 422, "row_repeated"),
        ({"rows": [{"row": f"R{n}", "seats": 1000} for n in range(101)]}, 422, "too_many_places"),
        ({"name": "x" * 121}, 422, "bad_body"),
    ],
)
async def test_a_hall_that_cannot_be(shop: Shop, change: dict[str, Any], status: int, code: str) -> None:
    venue = await shop.admin("venues", {"name": "V"})
    hall = {"venue_id": venue["venue_id"], "name": "H", "rows": [{"row": "A", "seats": 3}]}
    answer = await _make(shop, "halls", hall | change)
    assert (answer.status, answer.code) == (status, code), answer


def _tier(**change: Any) -> dict[str, Any]:
    return {"name": "t", "price_minor": 100, "rows": ["A"]} | change


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"hall_id": UNKNOWN}, 404, "hall_unknown"),
        ({"hall_id": "17"}, 422, "bad_id"),
        ({"starts_at": "2001-01-01T00:00:00Z"}, 422, "starts_in_the_past"),
        ({"starts_at": "2099-01-01T00:00:00"}, 422, "bad_body"),
        ({"starts_at": "soon"}, 422, "bad_body"),
        ({"currency": "euro"}, 422, "bad_body"),
        ({"currency": "EUR\n"}, 422, "bad_body"),
        ({"currency": "EUZ"}, 422, "currency_unknown"),
        ({"tiers": []}, 422, "bad_body"),
        ({"tiers": [_tier(price_minor=-1)]}, 422, "bad_body"),
        ({"tiers": [_tier(price_minor=1.5)]}, 422, "bad_body"),
        ({"tiers": [_tier(capacity=5)]}, 422, "tier_ambiguous"),
        ({"tiers": [_tier(rows=None)]}, 422, "tier_ambiguous"),
        ({"tiers": [_tier(rows=["Z"])]}, 422, "row_unknown"),
        ({"tiers": [_tier(), _tier(name="u")]}, 422, "row_repeated"),
        ({"tiers": [_tier(), _tier(rows=None, capacity=5)]}, 422, "tier_name_repeated"),
        ({"tiers": [_tier(rows=None, capacity=0)]}, 422, "bad_body"),
        ({"tiers": [_tier(), _tier(name="u", rows=None, capacity=99_998)]}, 422, "too_many_places"),
        ({"tiers": [_tier(name=f"t{n}", rows=None, capacity=1) for n in range(101)]}, 422, "bad_body"),
        ({"hold_ttl_s": 4}, 422, "bad_body"),
        ({"hold_ttl_s": 1801}, 422, "bad_body"),
        ({"grace_s": -1}, 422, "bad_body"),
        ({"seats_per_hold_max": 51}, 422, "bad_body"),
        ({"holds_ttl_s": 60}, 422, "bad_body"),
    ],
)
async def test_an_event_that_cannot_be(shop: Shop, change: dict[str, Any], status: int, code: str) -> None:
    venue = await shop.admin("venues", {"name": "V"})
    rows = [{"row": "A", "seats": 3}]
    hall = await shop.admin("halls", {"venue_id": venue["venue_id"], "name": "H", "rows": rows})
    event = {
        "hall_id": hall["hall_id"],
        "name": "E",
        "starts_at": "2099-01-01T20:00:00Z",
        "currency": "EUR",
        "tiers": [_tier()],
    }
    answer = await _make(shop, "events", event | change)
    assert (answer.status, answer.code) == (status, code), answer
    assert len(answer.body["detail"]) > 10


async def test_the_largest_event_is_made_in_one_request(shop: Shop) -> None:
    event = await shop.event(standing=99_999, seats=1, seats_per_hold_max=50)
    assert await event.states() == {"free": 100_000, "held": 0, "sold": 0}
    assert (await Buyer(shop).ask(event, standing=50)).status == 201


async def _make(shop: Shop, kind: str, body: dict[str, Any]) -> Answer:
    headers = {"Authorization": f"Bearer {shop.admin_key}", "Idempotency-Key": new_id()}
    return await shop.call("POST", f"/api/v1/admin/{kind}", body, headers=headers)
