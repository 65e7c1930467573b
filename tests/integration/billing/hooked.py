"""Billing with its door for webhooks, wallets and top-ups, and a sandbox that sends to it; tests play the buyers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from audit import ledger as audited
from billing.ledger.causes import VerifiedWebhook
from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Provider
from billing.providers.sandbox import SandboxProvider
from billing.providers.stripe import StripeProvider
from billing.settings import DatabaseSettings
from billing.store import wallets
from billing.wallets.admin_api import WalletAdminApi
from billing.wallets.api import WalletApi
from billing.wallets.topups import Topups
from billing.webhooks.door import WebhookApi
from billing.webhooks.workers import inbox_workers
from tests.integration.billing.world import ADMIN_KEY, TOKEN_KEY, Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from tests.support.buyer import Answer
from ticketflow.events import buyer_token, new_id
from ticketflow.runtime.http import Route
from ticketflow.runtime.mariadb import MariaDBPool, execute

PROVIDERS = ("sandbox", "stripe", "mercadopago")
SECRETS = ("whsec_new", "whsec_old")
TIMEOUT_S = 3.0
TOPUP_MAX_MINOR = 50_000


@contextmanager
def sending_sandbox(folder: Path, port: int) -> Iterator[ProviderProcess]:
    """Sends its webhooks to billing's API at ``port``. Not ready yet."""
    process = ProviderProcess(
        folder,
        {
            "SANDBOX_MERCADOPAGO_CURRENCY": "EUR",
            "SANDBOX_WEBHOOK_URL": f"http://127.0.0.1:{port}/api/v1/webhooks",
            "SANDBOX_WEBHOOK_SECRETS": ",".join(SECRETS),
        },
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()


def adapter(name: str, url: str, *, timeout_s: float = TIMEOUT_S) -> Provider:
    """Not open. ``url``: the sandbox's."""
    shop = "http://shop.example/back"
    if name == "stripe":
        return StripeProvider(
            f"{url}/stripe", PROVIDER_KEY, webhook_secrets=SECRETS, return_url=shop, timeout_s=timeout_s
        )
    if name == "mercadopago":
        return MercadoPagoProvider(
            f"{url}/mercadopago",
            PROVIDER_KEY,
            currency="EUR",
            webhook_secrets=SECRETS,
            return_url=shop,
            payer_email="tickets@shop.example",
            timeout_s=timeout_s,
        )
    return SandboxProvider(url, PROVIDER_KEY, webhook_secrets=SECRETS, timeout_s=timeout_s)


class HookedWorld(World):
    """``inbox``: the workers for webhooks and top-ups, by name."""

    def __init__(self, settings: DatabaseSettings, pool: MariaDBPool, provider: Provider) -> None:
        super().__init__(settings, pool, provider)
        self.inbox_workers = inbox_workers(pool, provider, self.settlements, self.outbox)

    def routes(self) -> list[Route]:
        topups = Topups(self.pool, self.provider, max_minor=TOPUP_MAX_MINOR)
        return [
            *super().routes(),
            *WebhookApi(self.pool, self.provider).routes(),
            *WalletApi(self.pool, topups, [TOKEN_KEY]).routes(),
            *WalletAdminApi(self.pool, [TOKEN_KEY]).routes(),
        ]

    async def run(self, *names: str) -> int:
        """One round of the named workers, those for webhooks and top-ups too."""
        every: dict[str, Any] = {**self.workers, **self.inbox_workers}
        return sum([await every[name].run_once() for name in names])

    def card(self, token: str = "tok_ok") -> str:
        return f"visa:{token}" if self.provider.name == "mercadopago" else token

    # -- the provider's side

    async def manners(self, **wanted: Any) -> None:
        """How the sandbox sends from now on."""
        async with self.bank.put("/v1/webhooks/manners", json=wanted) as response:
            assert response.status == 200, await response.text()

    async def all_sent(self) -> bool:
        """True when the provider has nothing left to tell, or an AssertionError that shows it: for wait_until."""
        async with self.bank.get("/v1/webhooks") as response:
            counts = await response.json()
        assert counts["waiting"] == 0, counts
        return True

    async def sent_again(self) -> None:
        async with self.bank.post("/v1/webhooks/again") as response:
            assert response.status == 200

    async def on_the_page(self, url: str, token: str = "tok_ok") -> int:
        """The buyer pays on the provider's page; the status."""
        async with (
            aiohttp.ClientSession() as browser,
            browser.post(url, data={"card_token": token}, allow_redirects=False) as response,
        ):
            return response.status

    async def paid_beside(self, reference: str, amount_minor: int) -> str:
        """The same page, paid once more: another authorization under the same reference. Its id, as the adapter says
        it."""
        body = {"reference": reference, "amount_minor": amount_minor, "currency": "EUR", "card_token": "tok_ok"}
        before = {one.authorization_id for one in await self.provider.fetch_all(reference)}
        async with self.bank.post("/v1/authorizations", json=body, headers={"Idempotency-Key": new_id()}) as response:
            assert response.status == 201, await response.text()
        (fresh,) = {one.authorization_id for one in await self.provider.fetch_all(reference)} - before
        return fresh

    async def kept_minor(self, reference: str) -> int:
        """What the provider keeps for us under a reference; nothing may be set aside."""
        items = await self.at_bank(reference)
        assert [item for item in items if item["state"] == "authorized"] == [], items
        return int(sum(item["captured_minor"] - item["refunded_minor"] for item in items))

    # -- our side

    async def webhooks(self) -> list[dict[str, Any]]:
        """In the order in which they came."""
        return await self.rows("SELECT * FROM webhooks ORDER BY webhook_id")

    async def applied(self) -> bool:
        """True when all that was received is applied, or an AssertionError that shows it: for wait_until."""
        await self.run("webhooks")
        states = [(row["kind"], row["state"], row["detail"]) for row in await self.webhooks()]
        assert states, "nothing has come"
        assert {state for _, state, _ in states} == {"APPLIED"}, states
        return True

    async def post_webhook(self, body: bytes, headers: dict[str, str], provider: str | None = None) -> Answer:
        url = f"{self.base}/api/v1/webhooks/{provider or self.provider.name}"
        async with self.http.post(url, data=body, headers=headers) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    async def every_webhook_anew(self) -> None:
        """As if each had come only now."""
        async with self.pool.transaction() as conn:
            await execute(conn, "UPDATE webhooks SET state = 'RECEIVED', due_at = UTC_TIMESTAMP(6)")

    async def due_now(self, table: str) -> None:
        """Whatever waits there has waited long enough."""
        async with self.pool.transaction() as conn:
            await execute(conn, f"UPDATE {table} SET due_at = UTC_TIMESTAMP(6) WHERE due_at IS NOT NULL")

    async def ledger_is_sound(self) -> None:
        async with self.pool.acquire() as conn:
            assert await audited.faults(conn) == []

    # -- a buyer's credits

    def buyer(self, buyer_id: str = "buyer-1") -> "Wallet":
        return Wallet(self, buyer_id)

    async def admin(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        url = f"{self.base}/api/v1/admin/{path}"
        async with self.http.request(method, url, json=body, headers=headers) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)


class Wallet:
    """A buyer, logged in at the shop."""

    def __init__(self, world: HookedWorld, buyer_id: str) -> None:
        self.world = world
        self.buyer_id = buyer_id
        self.headers = {"X-Buyer-Token": buyer_token.issue([TOKEN_KEY], buyer_id)}

    async def call(self, method: str, path: str = "", body: Any = None, **headers: str) -> Answer:
        url = f"{self.world.base}/api/v1/wallets/{self.buyer_id}{path}"
        async with self.world.http.request(method, url, json=body, headers=self.headers | headers) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    async def begin(self, amount_minor: int = 5000, currency: str = "EUR", *, key: str | None = None) -> Answer:
        """A top-up; its page is in the answer."""
        body = {"amount_minor": amount_minor, "currency": currency}
        return await self.call("POST", "/topups", body, **{"Idempotency-Key": key or new_id()})

    async def topup(self, topup_id: str) -> Any:
        answer = await self.call("GET", f"/topups/{topup_id}")
        assert answer.status == 200, answer
        return answer.body

    async def topup_is(self, topup_id: str, state: str) -> bool:
        """True, or an AssertionError that shows both: for wait_until. Runs the workers once."""
        await self.world.run("webhooks", "topups")
        found = await self.topup(topup_id)
        assert found["state"] == state, found
        return True

    async def has(self, currency: str = "EUR") -> tuple[int, int]:
        """What can be spent, and what is frozen."""
        answer = await self.call("GET")
        assert answer.status == 200, answer
        held = [one for one in answer.body["balances"] if one["currency"] == currency]
        return (held[0]["available_minor"], held[0]["frozen_minor"]) if held else (0, 0)

    async def given(self, amount_minor: int, currency: str = "EUR") -> None:
        """Credits, as if they had been bought."""
        webhook = VerifiedWebhook(new_id(), self.world.provider.name)
        async with self.world.pool.transaction() as conn:
            await wallets.top_up(conn, new_id(), self.buyer_id, amount_minor, currency, webhook)

    async def pay(
        self,
        sale: Sale,
        method: str = "credits",
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        """For a sale, with credits."""
        return await pay(sale, method, key=key, headers=self.headers if headers is None else headers, **body)


async def pay(
    sale: Sale,
    method: str,
    *,
    key: str | None = None,
    headers: dict[str, str] | None = None,
    base: str | None = None,
    **body: Any,
) -> Answer:
    """``base``: of another web process than the test's own."""
    sent = sale.headers | (headers or {}) | {"Idempotency-Key": key or new_id()}
    url = f"{base or sale.world.base}/api/v1/orders/{sale.hold_id}/payments"
    async with sale.world.http.post(url, json={"method": method, **body}, headers=sent) as response:
        return Answer(response.status, await response.json(content_type=None), response.headers)


async def redirected(sale: Sale, **body: Any) -> tuple[str, str]:
    """(payment's id, address of the page)"""
    told = await pay(sale, "redirect", **body)
    assert told.status == 201, told
    assert told.body["state"] == "STARTED", told
    return told.body["payment_id"], told.body["redirect_url"]
