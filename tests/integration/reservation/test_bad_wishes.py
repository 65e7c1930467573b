"""Wishes that cannot be: refused with a code, and nothing is held."""

from typing import Any

import pytest

from tests.support.buyer import Buyer, Shop
from ticketflow.events import new_id

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
STANDING = {"tier": "standing", "quantity": 1}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"general": [STANDING | {"quantity": -1}]}, 422, "bad_quantity"),
        ({"general": [STANDING | {"quantity": 0}]}, 422, "bad_quantity"),
        ({"general": [STANDING | {"quantity": 10_000}]}, 422, "too_many_seats"),
        ({"general": [STANDING | {"quantity": 2**80}]}, 422, "too_many_seats"),
        ({"general": [STANDING | {"quantity": 11}]}, 422, "too_many_seats"),
        ({"general": [STANDING | {"quantity": 1.5}]}, 422, "bad_body"),
        ({"general": [STANDING | {"quantity": "2"}]}, 422, "bad_body"),
        ({"general": [STANDING, STANDING]}, 422, "tier_repeated"),
        ({"general": [STANDING | {"tier": "royal"}]}, 404, "tier_unknown"),
        ({"general": [STANDING | {"tier": "a\u0000b"}]}, 422, "bad_body"),
        ({"general": [{"tier": "standing"}]}, 422, "bad_body"),
        ({"seats": []}, 422, "nothing_requested"),
        ({"seats": [UNKNOWN]}, 404, "seat_unknown"),
        ({"seats": [UNKNOWN, UNKNOWN]}, 422, "seat_repeated"),
        ({"seats": ["A-1; DROP TABLE units"]}, 422, "bad_id"),
        ({"seats": [UNKNOWN.upper()]}, 422, "bad_id"),
        ({"seats": ["x" * 65]}, 422, "bad_body"),
        ({"seats": [7]}, 422, "bad_body"),
        ({"seats": None}, 422, "bad_body"),
        ({"event_id": UNKNOWN}, 404, "event_unknown"),
        ({"event_id": "17"}, 422, "bad_id"),
        ({"buyer_id": ""}, 422, "bad_body"),
        ({"buyer_id": "b" * 65}, 422, "bad_body"),
        ({"buyer_id": "ann\n"}, 422, "bad_body"),
        ({"buyer_id": "ann smith"}, 422, "bad_body"),
        ({"late": "whatever"}, 422, "bad_body"),
        ({"surprise": 1}, 422, "bad_body"),
    ],
)
async def test_a_wish_that_cannot_be(shop: Shop, change: dict[str, Any], status: int, code: str) -> None:
    event = await shop.event(seats=1, standing=20)
    wish = Buyer(shop).wish(event, event.seats) | change
    answer = await shop.call("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
    assert (answer.status, answer.code) == (status, code), answer
    assert len(answer.body["detail"]) > 10
    assert answer.body["correlation_id"]
    assert await event.states() == {"free": 21, "held": 0, "sold": 0}


async def test_a_thousand_seats_are_too_many(shop: Shop) -> None:
    event = await shop.event(seats=1)
    answer = await Buyer(shop).ask(event, [new_id() for _ in range(1000)])
    assert (answer.status, answer.code, answer.body["most"]) == (422, "too_many_seats", 50)


async def test_ten_thousand_seats_are_too_large_to_be_read(shop: Shop) -> None:
    event = await shop.event(seats=1)
    answer = await Buyer(shop).ask(event, [new_id() for _ in range(10_000)])
    assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("hold_id", ["17", "x' OR true --", UNKNOWN.upper(), "%00"])
async def test_a_hold_id_that_is_none(shop: Shop, method: str, hold_id: str) -> None:
    answer = await shop.call(method, f"/api/v1/holds/{hold_id}", headers={"X-Hold-Token": "any"})
    assert 400 <= answer.status < 500
    assert answer.code


async def test_the_interface_describes_itself(shop: Shop) -> None:
    document = (await shop.call("GET", "/openapi.json")).body
    post = document["paths"]["/api/v1/holds"]["post"]
    assert {"201", "409", "422", "503"} <= set(post["responses"]) or "201" in post["responses"]
    assert "PlaceHold" in str(post["requestBody"])
    assert set(document["paths"]["/api/v1/holds/{hold_id}"]) >= {"get", "delete"}
