"""What a test of the compensation matrix can do: one sale, and one way to pay for it."""

from enum import StrEnum
from typing import Any

from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Provider
from billing.providers.sandbox import SandboxProvider
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY
from tests.support.buyer import Answer
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute

WALLET = 8000  # what the buyer has in credits
CREDITS = 1500  # what a mixed payment takes of them
TOTAL = 5000


class Way(StrEnum):
    """The columns of the matrix."""

    CARD = "card"
    MIXED = "mixed"  # card and credits
    CREDITS = "credits"
    PAGE = "page"  # of the provider's, where money is set aside
    PAGE_TAKEN = "page_taken"  # of the provider's, where it is taken at once

    @property
    def by_page(self) -> bool:
        return self in (Way.PAGE, Way.PAGE_TAKEN)


def provider_for(way: Way, url: str) -> Provider:
    if way is Way.PAGE_TAKEN:
        return MercadoPagoProvider(f"{url}/mercadopago", PROVIDER_KEY, currency="EUR", timeout_s=1.5)
    return SandboxProvider(url, PROVIDER_KEY, timeout_s=1.5)


class Cell:
    def __init__(self, world: World, way: Way, sale: Sale) -> None:
        self.world = world
        self.way = way
        self.sale = sale
        self.payment_id = ""  # of the last payment
        self.page = ""

    @classmethod
    async def prepared(cls, world: World, way: Way) -> "Cell":
        """A hold of 50.00 EUR of a buyer who has 80.00 in credits."""
        sale = await world.placed(buyer_id=f"buyer-{new_id()}")
        await world.give_credits(sale.hold.buyer_id, WALLET)
        return cls(world, way, sale)

    @property
    def buyer(self) -> str:
        return self.sale.hold.buyer_id

    async def pay(self, *, card: str = "tok_ok", key: str | None = None, way: Way | None = None) -> Answer:
        """The request to pay; on a page the buyer has then its address."""
        way = way or self.way
        bodies: dict[Way, dict[str, Any]] = {
            Way.CARD: {"method": "card", "card_token": card},
            Way.MIXED: {"method": "card", "card_token": card, "credits_minor": CREDITS},
            Way.CREDITS: {"method": "credits"},
        }
        answer = await self.sale.pay_by(bodies.get(way, {"method": "redirect"}), key=key)
        self.payment_id = answer.body.get("payment_id", self.payment_id)
        self.page = answer.body.get("redirect_url") or self.page
        return answer

    async def pay_on_the_page(self, card: str = "tok_ok") -> None:
        async with self.world.http.post(self.page, data={"card_token": card}, allow_redirects=False) as response:
            assert response.status < 400, await response.text()

    async def paid(self) -> None:
        """The payment is AUTHORIZED: reservation is asked for the seats."""
        answer = await self.pay()
        assert answer.status == 201, answer.body
        if self.way.by_page:
            await self.pay_on_the_page()
            await self.work("resolver")
        assert await self.state() == "AUTHORIZED"

    async def state(self) -> str:
        """Of the last payment."""
        payments = (await self.sale.order())["payments"]
        return str(next(p["state"] for p in payments if p["payment_id"] == self.payment_id))

    async def work(self, worker: str) -> None:
        """One round of a worker, which does not wait for its time."""
        await self.world.due(self.payment_id)
        await self.world.run(worker)

    async def settle_and_capture(self) -> None:
        await self.sale.sold(self.payment_id)
        await self.work("capture")

    async def told(self, kind: str) -> int:
        """How often the other services were told this of the order."""
        return [payload.kind for payload in await self.world.staged(self.sale.hold_id)].count(kind)

    async def nothing_is_kept(self) -> None:
        """No credits are frozen, and the provider has nothing."""
        assert await self.world.credits(self.buyer) == (WALLET, 0)
        for payment in (await self.sale.order())["payments"]:
            for item in await self.world.at_bank(payment["payment_id"]):
                assert item["captured_minor"] == item["refunded_minor"]
                assert item["state"] != "authorized"

    async def ends_failed(self, reason: str) -> None:
        await self.sale.ends("FAILED")
        await self.nothing_is_kept()
        order = await self.sale.order()
        assert order["reason"] == reason
        assert order["history"][-1]["code"] == "order_failed"

    async def take_credits_away(self) -> None:
        """The buyer spends them on another order."""
        other = await self.world.placed(buyer_id=self.buyer, seats=3)
        body = {"method": "card", "card_token": "tok_ok", "credits_minor": 7500}
        answer = await other.pay_by(body)
        assert answer.status == 201
        await other.sold(answer.body["payment_id"])
        await self.world.due(answer.body["payment_id"])
        await self.world.run("capture")
        assert await self.world.credits(self.buyer) == (WALLET - 7500, 0)

    async def page_is_over(self) -> None:
        """A day has passed, and the time that money may take."""
        async with self.world.pool.transaction() as conn:
            await execute(
                conn,
                "UPDATE payments SET redirect_until = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR WHERE payment_id = %s",
                (self.payment_id,),
            )

    async def let_go_at_the_bank(self) -> None:
        """The card's bank lets go of the money that is set aside."""
        (item,) = await self.world.at_bank(self.payment_id)
        async with self.world.bank.post(
            f"/v1/authorizations/{item['authorization_id']}/void", json={}, headers={"Idempotency-Key": new_id()}
        ) as response:
            assert response.status < 300, await response.text()
