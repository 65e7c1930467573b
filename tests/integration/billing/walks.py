"""A random walk of some sales at once through everything that can happen to money, and to rest at its end.

Real store, real provider, real webhooks; what is random is chosen by a seed. The walk is not the same twice, since
real servers take their own time: what has to hold holds for every walk.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import aiohttp

from tests.integration.billing.hooked import HookedWorld
from tests.integration.billing.refunding import Office
from tests.integration.billing.world import PRICE_MINOR, Sale
from tests.support.waiting import wait_until
from ticketflow.events import EndReason, HoldLine, new_id
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.mariadb import execute
from ticketflow.runtime.retry import retrying

WALLET = 9000  # less than the sales cost together: credits run out
WORKERS = ("resolver", "nudge", "capture", "void", "recheck-failed", "recheck-voided", "webhooks")
OPERATIONS = ("authorize", "capture", "void", "refund", "fetch", "begin")
FAULTS = ("error", "error_after", "drop", "drop_after", "rate_limit")
CARDS = ("tok_ok", "tok_ok", "tok_ok", "tok_declined")
ROUNDS_MAX = 60

Step = Callable[[], Awaitable[None]]


class Place:
    """One sale, and what reservation thinks of it: HELD, RELEASED, EXPIRED (seats gone or not), SOLD."""

    def __init__(self, sale: Sale) -> None:
        self.sale = sale
        self.state = "HELD"
        self.answers: dict[str, Callable[[], Awaitable[None]]] = {}  # one to each payment, however often it is asked
        self.pages: list[str] = []
        self.requests: list[tuple[dict[str, Any], str]] = []


class Walk:
    def __init__(self, world: HookedWorld, office: Office, seed: int) -> None:
        self.world = world
        self.office = office
        self.chance = Random(seed)
        self.buyer_id = f"buyer-{new_id()}"
        self.places: list[Place] = []
        self.steps: list[Step] = [
            *[self.pay] * 4,
            *[self.reservation_answers] * 3,
            *[self.somebody_works] * 8,
            self.pay_on_a_page,
            self.hold_ends,
            self.provider_errs,
            self.time_passes,
            self.webhooks_come_again,
            self.refund,
            self.refund,
            self.refunds_are_paid,
        ]

    async def begin(self, sales: int = 3) -> None:
        await self.world.give_credits(self.buyer_id, WALLET)
        for _ in range(sales):
            self.places.append(Place(await self.world.placed(buyer_id=self.buyer_id)))

    async def step(self) -> None:
        await self.chance.choice(self.steps)()

    # -- buyers

    async def pay(self) -> None:
        """In one of the ways; sometimes an earlier request once more; sometimes nobody waits for the answer."""
        place = self.chance.choice(self.places)
        card = {"method": "card", "card_token": self.world.card(self.chance.choice(CARDS))}
        bodies: list[dict[str, Any]] = [
            card,
            card | {"credits_minor": 1500},
            {"method": "credits"},
            {"method": "redirect"},
            {"method": "redirect", "credits_minor": 1500},
        ]
        request = (self.chance.choice(bodies), new_id())
        if place.requests and self.chance.random() < 0.3:
            request = self.chance.choice(place.requests)
        place.requests.append(request)
        patience_s = 0.02 if self.chance.random() < 0.15 else 8.0
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            answer = await asyncio.wait_for(place.sale.pay_by(request[0], key=request[1]), patience_s)
            assert answer.status in (201, 202, 402, 409, 410, 503), answer
            if answer.status < 300 and answer.body["redirect_url"]:
                place.pages.append(answer.body["redirect_url"])

    async def pay_on_a_page(self) -> None:
        pages = [page for place in self.places for page in place.pages]
        if pages:
            await self.world.on_the_page(self.chance.choice(pages), self.chance.choice(CARDS))

    # -- reservation

    async def reservation_answers(self) -> None:
        for place in self.places:
            for payment_id in await self._authorised(place):
                if payment_id not in place.answers:
                    place.answers[payment_id] = self._answer(place, payment_id)
                    await place.answers[payment_id]()
                elif self.chance.random() < 0.3:
                    await place.answers[payment_id]()

    async def hold_ends(self) -> None:
        place = self.chance.choice(self.places)
        if place.state == "HELD":
            released = self.chance.random() < 0.3
            place.state = "RELEASED" if released else "EXPIRED"
            await (place.sale.released() if released else place.sale.expired())

    def _answer(self, place: Place, payment_id: str) -> Callable[[], Awaitable[None]]:
        gone = place.state in ("SOLD", "RELEASED") or (place.state == "EXPIRED" and self.chance.random() < 0.5)
        if gone:
            reason: EndReason = "released" if place.state == "RELEASED" else "taken"
            return lambda: place.sale.lost(payment_id, reason)
        moved_to = None
        if place.state == "EXPIRED" and self.chance.random() < 0.5:
            moved_to = [
                HoldLine(unit_id=new_id(), tier=line.tier, label=f"B-{number}", price_minor=PRICE_MINOR)
                for number, line in enumerate(place.sale.hold.lines)
            ]
        place.state = "SOLD"
        return lambda: place.sale.sold(payment_id, moved_to=moved_to)

    # -- billing

    async def somebody_works(self) -> None:
        """A round of a worker, whose process may be killed in the middle."""
        await self._run(self.world.run(self.chance.choice(WORKERS)))

    async def refunds_are_paid(self) -> None:
        await self._run(self.office.worker.run_once())

    async def refund(self) -> None:
        """Of all tickets, or of one."""
        place = self.chance.choice(self.places)
        tickets = [t["ticket_id"] for t in (await place.sale.order())["tickets"]]
        wish: dict[str, Any] = {"seats_back": self.chance.random() < 0.5}
        if tickets and self.chance.random() < 0.6:
            wish["tickets"] = [self.chance.choice(tickets)]
        answer = await self.office.refund(place.sale, **wish)
        assert answer.status in (202, 409), answer

    async def _run(self, round_of_work: Any) -> None:
        working = asyncio.ensure_future(round_of_work)
        if self.chance.random() < 0.35:
            await asyncio.wait([working], timeout=self.chance.uniform(0, 0.04))
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError, Unavailable, Indefinite, Retryable):
            await working

    # -- the world

    async def provider_errs(self) -> None:
        await self.world.fault(self.chance.choice(OPERATIONS), self.chance.choice(FAULTS))

    async def webhooks_come_again(self) -> None:
        await self.world.sent_again()

    async def time_passes(self) -> None:
        """Half a minute, for everybody."""
        await self._change("payments SET started_at = started_at - INTERVAL 30 SECOND")
        for table in ("payments", "refunds", "webhooks"):
            await self._change(f"{table} SET due_at = UTC_TIMESTAMP(6) WHERE due_at IS NOT NULL")

    # -- to the end

    async def come_to_rest(self) -> None:
        """Nobody buys any more, nothing breaks any more, holds end, pages close, and all that waits is done."""
        async with self.world.bank.delete("/v1/faults") as response:
            assert response.status == 204
        for _ in range(ROUNDS_MAX):
            await wait_until(self.world.all_sent, timeout_s=30)
            await self.reservation_answers()
            for place in self.places:
                if place.state == "HELD" and not await self._authorised(place):
                    place.state = "EXPIRED"
                    await place.sale.expired()
            await self.time_passes()
            await self._change("payments SET redirect_until = redirect_until - INTERVAL 2 DAY")
            for worker in WORKERS:
                await self.world.run(worker)
            await self.office.worker.run_once()
            if not await self._unfinished():
                return
        raise AssertionError(f"no rest after {ROUNDS_MAX} rounds: {await self._unfinished()}")

    async def _change(self, what: str) -> None:
        """Of many rows at once, while billing changes some of them too."""

        async def attempt() -> None:
            async with self.world.pool.transaction() as conn:
                await execute(conn, f"UPDATE {what}")

        await retrying(attempt, attempts=20)

    async def _authorised(self, place: Place) -> list[str]:
        rows = await self.world.rows(
            "SELECT payment_id FROM payments WHERE order_id = %s AND state = 'AUTHORIZED'", place.sale.hold_id
        )
        return [row["payment_id"] for row in rows]

    async def _unfinished(self) -> list[dict[str, Any]]:
        return await self.world.rows(
            """
            SELECT order_id AS id, state FROM orders WHERE state = 'PENDING'
            UNION ALL SELECT payment_id, state FROM payments
                      WHERE state IN ('STARTED', 'AUTHORIZED', 'SETTLED', 'VOIDING')
            UNION ALL SELECT payment_id, state FROM payments WHERE state IN ('FAILED', 'VOIDED') AND due_at IS NOT NULL
            UNION ALL SELECT refund_id, state FROM refunds WHERE state = 'REQUESTED'
            UNION ALL SELECT webhook_id, state FROM webhooks WHERE due_at IS NOT NULL
            """
        )
