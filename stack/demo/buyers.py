"""A buyer: wants one seat, any seat, and pays for it."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stack.shop import Shop

CONFIRM_S = 90  # a sale takes well under a second; this is for a machine that is busy with something else
ASK_S = 0.2


class Outcome(StrEnum):
    CONFIRMED = "confirmed"
    SOLD_OUT = "told that it is sold out"
    FAILED = "failed"


@dataclass
class Sale:
    """What one buyer ended up with."""

    buyer_id: str
    outcome: Outcome
    hold_id: str = ""
    label: str = ""
    said: str = ""


@dataclass
class Crowd:
    """How far the crowd is: how many buyers are doing what."""

    doing: Counter[str] = field(default_factory=Counter)
    refused_seats: int = 0

    def step(self, before: str, after: str) -> None:
        self.doing[before] -= 1
        self.doing[after] += 1


async def leave_address(shop: Shop, buyer_id: str, token: str) -> None:
    """Where the buyer's mail goes; ``token``: the buyer's own. Raises StackError."""
    address = {"email": f"{buyer_id}@buyers.example"}
    answer = await shop.put(f"/api/v1/buyers/{buyer_id}/contact", address, {"X-Buyer-Token": token})
    answer.expect("an address")


async def buy(shop: Shop, crowd: Crowd, event_id: str, buyer_id: str) -> Sale:
    """Tries for random free seats until one is his or none is free; then pays, and waits for the tickets."""
    crowd.doing["choosing"] += 1
    hold = await _take_a_seat(shop, crowd, event_id, buyer_id)
    if hold is None:
        crowd.step("choosing", "sold out")
        return Sale(buyer_id, Outcome.SOLD_OUT)
    crowd.step("choosing", "paying")
    sale = Sale(buyer_id, Outcome.FAILED, hold["hold_id"], hold["lines"][0]["label"])
    order, token = f"/api/v1/orders/{hold['order_id']}", hold["token"]
    paid = await shop.post(
        f"{order}/payments", {"method": "card", "card_token": "tok_ok"}, token=token, wait_for="order_not_yet"
    )
    if paid.ok:
        crowd.step("paying", "settling")
        sale.said = await _end_of(shop, order, token)
        if sale.said == "CONFIRMED":
            sale.outcome = Outcome.CONFIRMED
        crowd.step("settling", sale.outcome.value)
    else:
        sale.said = f"{paid.status} {paid.code}"
        crowd.step("paying", sale.outcome.value)
    return sale


async def _take_a_seat(shop: Shop, crowd: Crowd, event_id: str, buyer_id: str) -> Any | None:
    snatched = False
    while True:
        path = f"/api/v1/events/{event_id}/availability"
        seats = (await shop.get(path, fresh=snatched)).expect("availability")["seats"]
        free = [seat["seat_id"] for seat in seats if seat["state"] == "free"]
        if not free:
            return None
        wanted = {"event_id": event_id, "buyer_id": buyer_id, "seats": [random.choice(free)]}  # noqa: S311 - no secret
        answer = await shop.post("/api/v1/holds", wanted)
        if answer.code != "seat_unavailable":
            return answer.expect("a hold")
        crowd.refused_seats += 1
        snatched = True


async def _end_of(shop: Shop, order: str, token: str) -> str:
    """The state in which the order ends; PENDING when it does not in time."""
    state = "PENDING"
    try:
        async with asyncio.timeout(CONFIRM_S):
            while state == "PENDING":
                await asyncio.sleep(ASK_S)
                state = (await shop.get(order, token)).expect("an order")["state"]
    except TimeoutError:
        pass
    return state
