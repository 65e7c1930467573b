"""Whatever is sent, the answer is a problem with a stable code, never a traceback."""

from typing import Any

import pytest

from tests.support.buyer import Buyer, Shop
from ticketflow.events import new_id

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no json", 400, "bad_json"),
        (b"", 400, "bad_json"),
        (b"[]", 422, "bad_body"),
        (b'{"event_id": 5, "buyer_id": "b"}', 422, "bad_body"),
        (b"[" * 20_000, 422, "bad_body"),
        (b'{"event_id": "\xff\xfe"}', 400, "bad_json"),
        (b"x" * 70_000, 413, "body_too_large"),
    ],
)
async def test_a_body_that_is_no_hold(shop: Shop, body: bytes, status: int, code: str) -> None:
    headers = {"Idempotency-Key": new_id(), "Content-Type": "application/json"}
    answer = await shop.call("POST", "/api/v1/holds", raw=body, headers=headers)
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_wishes_that_cannot_be(shop: Shop) -> None:
    event = await shop.event(seats=3, standing=3)
    buyer = Buyer(shop)

    async def refusal(**change: Any) -> tuple[int, str | None]:
        wish = buyer.wish(event, event.seats[:1]) | change
        answer = await shop.call("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
        assert answer.body["correlation_id"], answer
        assert len(answer.body["detail"]) > 10, answer
        return answer.status, answer.code

    assert await refusal(general=[{"tier": "standing", "quantity": -1}]) == (422, "bad_quantity")
    assert await refusal(general=[{"tier": "standing", "quantity": 0}]) == (422, "bad_quantity")
    assert (await refusal(general=[{"tier": "standing", "quantity": 10_000}]))[0] == 422
    assert await refusal(seats=[new_id() for _ in range(1_000)]) == (422, "too_many_seats")
    assert await refusal(seats=[]) == (422, "nothing_requested")
    assert await refusal(seats=event.seats[:1] * 2) == (422, "seat_repeated")
    assert (await refusal(seats=[UNKNOWN]))[1] == "seat_unknown"
    assert (await refusal(seats=["A-1; DROP TABLE units"]))[0] == 422
    assert (await refusal(general=[{"tier": "royal", "quantity": 1}]))[1] == "tier_unknown"
    assert await refusal(event_id=UNKNOWN) == (404, "event_unknown")
    assert (await refusal(buyer_id=""))[0] == 422
    assert (await refusal(surprise=1)) == (422, "bad_body")
    assert await event.states() == {"free": 6, "held": 0, "sold": 0}


async def test_ten_thousand_seats_in_one_hold_are_too_large_to_be_read(shop: Shop) -> None:
    event = await shop.event(seats=1)
    wish = Buyer(shop).wish(event, [new_id() for _ in range(10_000)])
    answer = await shop.call("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
    assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/api/v1/holds/{UNKNOWN}", 401, "hold_token_missing"),
        ("GET", f"/api/v1/events/{UNKNOWN}", 404, "event_unknown"),
        ("GET", "/api/v1/events/17", 400, "bad_path_id"),
        ("GET", f"/api/v1/orders/{UNKNOWN}", 401, "hold_token_missing"),
        ("GET", f"/api/v1/sales/{UNKNOWN}", 404, None),
        ("GET", "/api/v1/sales", 422, None),
        ("GET", "/api/v1/events?limit=-1", 422, None),
        ("PUT", "/api/v1/holds", 405, "method_not_allowed"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/metrics", 404, "not_found"),
        ("POST", "/api/v1/admin/venues", 401, "unauthorized"),
    ],
)
async def test_a_wrong_address(shop: Shop, method: str, path: str, status: int, code: str | None) -> None:
    answer = await shop.call(method, path, headers={"Idempotency-Key": new_id()})
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.code
    assert code is None or answer.code == code


async def test_an_order_that_never_was_is_unknown_and_not_awaited(shop: Shop) -> None:
    headers = {"X-Hold-Token": "guess", "Idempotency-Key": new_id()}
    payment = {"method": "card", "card_token": "tok_ok"}
    answer = await shop.call("POST", f"/api/v1/orders/{UNKNOWN}/payments", payment, headers=headers)
    assert (answer.status, answer.code) == (404, "order_unknown")
