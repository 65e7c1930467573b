"""A buyer's visit, from choosing seats to the tickets in the portal: the purchase flow that real clients follow."""

import asyncio
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drills.manners import Meaning
from drills.plans import Behaviour, Plan
from drills.seating import Seating
from drills.shop import PAY_REQUEST_S, Answer, Shop
from drills.show import STANDING, Hall

CHOICES_MAX = 4  # seats snatched away so often: then standing will do
FOLLOW_S = 120.0  # how long somebody who has paid keeps looking for his tickets
LOOK_S = (0.5, 2.0)  # between two looks: often at first, then ever more rarely
LATE_MARGIN_S = 1.0  # beyond the hold's time, by our clock: surely beyond it by the shop's
ENDS = ("CONFIRMED", "FAILED")


@dataclass(frozen=True)
class Held:
    """A hold that its buyer knows of."""

    order_id: str
    token: str
    seats: tuple[str, ...]

    @property
    def headers(self) -> Mapping[str, str]:
        return {"X-Hold-Token": self.token}


class Buyer:
    """One visit. Whatever the shop answers ends it in an orderly way; nothing is raised for it."""

    def __init__(self, plan: Plan, shop: Shop, hall: Hall, seating: Seating) -> None:
        self.plan = plan
        self._shop = shop
        self._hall = hall
        self._seating = seating
        self._chance = random.Random(plan.chance_seed + ":visit")  # noqa: S311 - chance, no secret

    async def visit(self) -> None:
        held = await self._hold_places()
        if held is None:
            return
        match self.plan.behaviour:
            case Behaviour.NO_SHOW:
                await asyncio.sleep(self._hall.show.hold_ttl_s + self._hall.show.grace_s)
                self._seating.give_back(self._numbered(held))
            case Behaviour.RELEASE:
                await asyncio.sleep(self.plan.think_s)
                await self._release(held)
            case Behaviour.LATE:
                await asyncio.sleep(self._hall.show.hold_ttl_s + LATE_MARGIN_S)
                await self._pay(held, self.plan.cards[-1])
            case Behaviour.BUY | Behaviour.IMPATIENT:
                await asyncio.sleep(self.plan.think_s)
                await self._buy(held)

    # -- choosing

    async def _hold_places(self) -> Held | None:
        """None when nothing came of it."""
        for attempt in range(CHOICES_MAX):
            last = attempt == CHOICES_MAX - 1
            seats = () if last or not self.plan.seated else await self._choose(attempt)
            answers = await self._ask(seats)
            held = next((_held(answer) for answer in answers if answer.ok), None)
            if held is not None or not all(answer.code == "seat_unavailable" for answer in answers):
                return held
        return None

    async def _choose(self, attempt: int) -> tuple[str, ...]:
        if attempt == 0 and self.plan.elbows and (wanted := self._seating.elbow()):
            return wanted
        if attempt == 0 and self.plan.looks:
            return self._seating.see(await self._look(), self.plan.places, self._chance)
        return self._seating.choose(self.plan.places)

    async def _look(self) -> list[str]:
        """The numbered seats that are free; none when that could not be seen."""
        answer = await self._shop.wish(
            self.plan.buyer_id, "availability", "GET", f"/api/v1/events/{self._hall.show.event_id}/availability"
        )
        seats = answer.json()["seats"] if answer.ok else []
        return [seat["seat_id"] for seat in seats if seat["state"] == "free"]

    async def _ask(self, seats: tuple[str, ...]) -> list[Answer]:
        """One request for a hold; an impatient buyer's, three of one key at once."""
        wish: dict[str, Any] = {"event_id": self._hall.show.event_id, "buyer_id": self.plan.buyer_id}
        if seats:
            wish["seats"] = list(seats)
        else:
            wish["general"] = [{"tier": STANDING, "quantity": self.plan.places}]
        key = _key()
        times = 3 if self.plan.behaviour is Behaviour.IMPATIENT else 1
        return await asyncio.gather(
            *(
                self._shop.wish(
                    self.plan.buyer_id, "hold", "POST", "/api/v1/holds", wish, key=key, seats=seats, tell=_told_of_hold
                )
                for _ in range(times)
            )
        )

    # -- what becomes of it

    async def _release(self, held: Held) -> None:
        released = await self._shop.wish(
            self.plan.buyer_id,
            "release",
            "DELETE",
            f"/api/v1/holds/{held.order_id}",
            headers=held.headers,
            order_id=held.order_id,
            tell=lambda body: {"state": body["state"]},
        )
        if released.ok:
            self._seating.give_back(self._numbered(held))

    async def _buy(self, held: Held) -> None:
        for card in self.plan.cards:
            paid = await self._pay(held, card)
            if paid.code != "card_declined":
                break
        # Whose payment is not known to have failed looks what became of it; one that was refused need not.
        if paid.meaning is not Meaning.REFUSED:
            await self._follow_order(held)
            await self._follow_sale(held)

    async def _pay(self, held: Held, card: str) -> Answer:
        return await self._shop.wish(
            self.plan.buyer_id,
            "pay",
            "POST",
            f"/api/v1/orders/{held.order_id}/payments",
            {"method": "card", "card_token": card},
            headers=held.headers,
            key=_key(),
            order_id=held.order_id,
            request_s=PAY_REQUEST_S,
            tell=lambda body: {
                "payment_id": body["payment_id"],
                "amount_minor": body["amount_minor"],
                "state": body["state"],
            },
        )

    async def _follow_order(self, held: Held) -> None:
        await self._follow(held, "order", f"/api/v1/orders/{held.order_id}", held.headers)

    async def _follow_sale(self, held: Held) -> None:
        await self._follow(held, "sale", f"/api/v1/sales/{held.order_id}", {})

    async def _follow(self, held: Held, action: Any, path: str, headers: Mapping[str, str]) -> None:
        """Looks again and again until the sale has ended, or FOLLOW_S are over; one Op with the last look's answer."""
        began_s, looks, pause_s = self._shop.now, 0, LOOK_S[0]
        while True:
            await asyncio.sleep(pause_s)
            answer = await self._shop.insist("GET", path, headers=headers)
            looks += answer.attempts
            ended = answer.ok and answer.json()["state"] in ENDS
            if ended or self._shop.now - began_s > FOLLOW_S:
                break
            pause_s = min(pause_s * 1.5, LOOK_S[1])
        self._shop.write(
            self.plan.buyer_id,
            action,
            began_s,
            answer,
            attempts=looks,
            order_id=held.order_id,
            tell=lambda body: {"state": body["state"], "tickets": len(body["tickets"])},
        )

    def _numbered(self, held: Held) -> list[str]:
        numbered = set(self._hall.seats)
        return [seat for seat in held.seats if seat in numbered]


def _key() -> str:
    return str(uuid.uuid4())


def _held(answer: Answer) -> Held:
    body = answer.json()
    return Held(body["hold_id"], body["token"], tuple(line["unit_id"] for line in body["lines"]))


def _told_of_hold(body: Any) -> Mapping[str, Any]:
    return {
        "order_id": body["order_id"],
        "seats": tuple(line["unit_id"] for line in body["lines"]),
        "amount_minor": body["total_minor"],
        "state": body["state"],
    }
