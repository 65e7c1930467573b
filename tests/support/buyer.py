"""A buyer at the front door: HTTP through nginx, retries with the same Idempotency-Key, as a good client does."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.waiting import wait_until
from ticketflow.events import new_id

RETRIED = (502, 503, 504)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str | None:
        """The stable code of a problem; None for a success."""
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass
class Shop:
    """The HTTP face of a running stack."""

    http: aiohttp.ClientSession
    base: str
    admin_key: str

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """One request, no retry. A connection that breaks raises aiohttp.ClientError."""
        options: dict[str, Any] = {"json": body} if body is not None else {}
        if raw is not None:
            options = {"data": raw}
        async with self.http.request(method, self.base + path, headers=headers, **options) as response:
            text = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "")
            return Answer(
                response.status, await response.json(content_type=None) if is_json else text, response.headers
            )

    async def insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = 60,
    ) -> Answer:
        """Repeats the request until there is an answer that decides something."""
        until = time.monotonic() + deadline_s
        while True:
            try:
                answer = await self.call(method, path, body, headers=headers)
            except (aiohttp.ClientError, TimeoutError) as error:
                if time.monotonic() > until:
                    raise TimeoutError(f"{method} {path}: still no answer after {deadline_s} s: {error}") from error
            else:
                again = answer.status in RETRIED or answer.code == "order_not_yet"
                if not again or time.monotonic() > until:
                    return answer
            await asyncio.sleep(0.1)

    async def admin(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.admin_key}", "Idempotency-Key": new_id()}
        answer = await self.insist("POST", f"/api/v1/admin/{path}", body, headers=headers)
        assert answer.status == 201, answer
        return answer.body

    async def event(self, *, seats: int = 0, standing: int = 0, **settings: Any) -> "Event":
        """A new event with one row of numbered seats and, if asked for, a general-admission tier."""
        venue = await self.admin("venues", {"name": "Test hall"})
        rows = [{"row": "A", "seats": max(seats, 1)}]
        hall = await self.admin("halls", {"venue_id": venue["venue_id"], "name": "Main", "rows": rows})
        tiers: list[dict[str, Any]] = []
        if seats:
            tiers.append({"name": "seated", "price_minor": 2500, "rows": ["A"]})
        if standing:
            tiers.append({"name": "standing", "price_minor": 1500, "capacity": standing})
        wanted = {
            "hall_id": hall["hall_id"],
            "name": f"Evening {new_id()[-6:]}",
            "starts_at": "2099-01-01T20:00:00Z",
            "currency": "EUR",
            "tiers": tiers,
        }
        made = await self.admin("events", wanted | settings)
        event = Event(self, made["event_id"])
        event.seats = [seat["seat_id"] for seat in (await event.availability())["seats"]]
        return event


@dataclass
class Event:
    shop: Shop
    event_id: str
    seats: list[str] = field(default_factory=list)

    async def availability(self) -> Any:
        """The seat map, as it is now."""
        return await self._now("/availability")

    async def page(self) -> Any:
        return await self._now("")

    async def _now(self, end: str) -> Any:
        """Past what replicas keep in memory."""
        path = f"/api/v1/events/{self.event_id}{end}"
        answer = await self.shop.insist("GET", path, headers={"Cache-Control": "no-cache"})
        assert answer.status == 200, answer
        return answer.body

    async def states(self) -> dict[str, int]:
        """How many places are free, held and sold."""
        tiers = (await self.availability())["tiers"]
        return {state: sum(tier[state] for tier in tiers) for state in ("free", "held", "sold")}

    async def stands_at(self, **expected: int) -> bool:
        """True, or an AssertionError that shows both: for wait_until."""
        found = await self.states()
        assert found == expected
        return True


@dataclass
class Buyer:
    shop: Shop
    buyer_id: str = field(default_factory=lambda: f"buyer-{new_id()}")

    def wish(self, event: Event, seats: list[str] | None = None, standing: int = 0) -> dict[str, Any]:
        general = [{"tier": "standing", "quantity": standing}] if standing else []
        return {"event_id": event.event_id, "buyer_id": self.buyer_id, "seats": seats or [], "general": general}

    async def ask(
        self, event: Event, seats: list[str] | None = None, *, standing: int = 0, key: str | None = None
    ) -> Answer:
        """One POST for a hold, repeated with the same key until it is decided."""
        headers = {"Idempotency-Key": key or new_id()}
        return await self.shop.insist("POST", "/api/v1/holds", self.wish(event, seats, standing), headers=headers)

    async def hold(self, event: Event, seats: list[str] | None = None, *, standing: int = 0) -> "Purchase":
        answer = await self.ask(event, seats, standing=standing)
        assert answer.status == 201, answer
        return Purchase(self, answer.body["hold_id"], answer.body["token"])


@dataclass
class Purchase:
    """A hold that its buyer got, on its way to a ticket."""

    buyer: Buyer
    hold_id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Hold-Token": self.token}

    async def try_to_pay(self, *, card: str = "tok_ok", key: str | None = None) -> Answer:
        """One POST of a payment, no retry."""
        return await self._pay(self.buyer.shop.call, card, key)

    async def pay(self, *, card: str = "tok_ok", key: str | None = None) -> Answer:
        """A payment, repeated with the same key until it is decided."""
        return await self._pay(self.buyer.shop.insist, card, key)

    async def _pay(self, call: Any, card: str, key: str | None) -> Answer:
        headers = self.headers | {"Idempotency-Key": key or new_id()}
        body = {"method": "card", "card_token": card}
        answer: Answer = await call("POST", f"/api/v1/orders/{self.hold_id}/payments", body, headers=headers)
        return answer

    async def pay_through(self, *, attempts: int = 5) -> None:
        """Pays as a buyer does who means it: where an outcome is not known yet he looks, and where nothing was charged
        he pays again."""
        for _ in range(attempts):
            paid = await self.pay()
            if paid.status == 201:
                return
            assert paid.status == 202, paid
            if await wait_until(self.payment_decided, timeout_s=60) not in ("FAILED", "DECLINED"):
                return
        raise AssertionError(f"{attempts} payments, and none went through")

    async def payment_decided(self) -> str | None:
        """The state of the newest payment; None while it is STARTED."""
        state = str((await self.order())["payments"][-1]["state"])
        return None if state == "STARTED" else state

    async def release(self) -> Answer:
        return await self.buyer.shop.insist("DELETE", f"/api/v1/holds/{self.hold_id}", headers=self.headers)

    async def read_hold(self) -> Answer:
        return await self.buyer.shop.insist("GET", f"/api/v1/holds/{self.hold_id}", headers=self.headers)

    async def order(self) -> Any:
        answer = await self.buyer.shop.insist("GET", f"/api/v1/orders/{self.hold_id}", headers=self.headers)
        assert answer.status == 200, answer
        return answer.body

    async def order_state(self) -> str:
        answer = await self.buyer.shop.call("GET", f"/api/v1/orders/{self.hold_id}", headers=self.headers)
        return str(answer.body["state"]) if answer.status == 200 else f"{answer.status} {answer.code}"

    async def sale_state(self) -> str:
        """What the portal shows the buyer."""
        answer = await self.buyer.shop.call("GET", f"/api/v1/sales/{self.hold_id}")
        return str(answer.body["state"]) if answer.status == 200 else f"{answer.status} {answer.code}"

    async def hold_is(self, state: str) -> bool:
        """This and the next two: True, or an AssertionError that shows both, for wait_until."""
        found = (await self.read_hold()).body["state"]
        assert found == state
        return True

    async def order_is(self, state: str) -> bool:
        found = await self.order_state()
        assert found == state
        return True

    async def sale_is(self, state: str) -> bool:
        found = await self.sale_state()
        assert found == state
        return True
