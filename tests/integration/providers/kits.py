"""One adapter, open, against a real sandbox, and what the suite needs to know of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Authorization, Provider
from billing.providers.sandbox import SandboxProvider
from billing.providers.stripe import StripeProvider
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from ticketflow.events import new_id

NAMES = ("sandbox", "stripe", "mercadopago")
SECRETS = ("whsec_new", "whsec_old")
CURRENCY = {"sandbox": "EUR", "stripe": "EUR", "mercadopago": "BRL"}
REASONS = {
    "sandbox": {"tok_declined": "do_not_honor", "tok_insufficient": "insufficient_funds"},
    "stripe": {"tok_declined": "do_not_honor", "tok_insufficient": "insufficient_funds"},
    "mercadopago": {
        "tok_declined": "cc_rejected_other_reason",
        "tok_insufficient": "cc_rejected_insufficient_amount",
    },
}


def adapter(
    name: str, url: str, *, key: str = PROVIDER_KEY, secrets: tuple[str, ...] = SECRETS, timeout_s: float = 20
) -> Provider:
    """Not opened. ``timeout_s``: nobody gives up here because the machine is busy."""
    if name == "stripe":
        return StripeProvider(
            f"{url}/stripe", key, webhook_secrets=secrets, return_url="http://shop/back", timeout_s=timeout_s
        )
    if name == "mercadopago":
        return MercadoPagoProvider(
            f"{url}/mercadopago",
            key,
            currency="BRL",
            webhook_secrets=secrets,
            return_url="http://shop/back",
            payer_email="buyer@example.com",
            timeout_s=timeout_s,
        )
    return SandboxProvider(url, key, webhook_secrets=secrets, timeout_s=timeout_s)


@dataclass
class Kit:
    """``bank``: the sandbox's own API, for what a test plans and looks at."""

    name: str
    process: ProviderProcess
    provider: Provider
    bank: aiohttp.ClientSession

    @property
    def currency(self) -> str:
        return CURRENCY[self.name]

    def card(self, token: str = "tok_ok") -> str:
        return f"visa:{token}" if self.name == "mercadopago" else token

    async def authorize(
        self, reference: str, card: str = "tok_ok", *, amount_minor: int = 5000, by: Provider | None = None
    ) -> Authorization:
        return await (by or self.provider).authorize(
            reference=reference, amount_minor=amount_minor, currency=self.currency, card_token=self.card(card)
        )

    async def captured(self, amount_minor: int = 5000) -> tuple[str, str]:
        """(reference, authorization's id)"""
        reference = new_id()
        made = await self.authorize(reference, amount_minor=amount_minor)
        await self.provider.capture(made.authorization_id, amount_minor, key=f"{reference}:capture")
        return reference, made.authorization_id

    async def fetched(self, reference: str) -> Authorization:
        found = await self.provider.fetch(reference)
        assert found is not None
        return found

    async def plan(self, operation: str, kind: str, **more: Any) -> None:
        wanted = {"operation": operation, "kind": kind, **more}
        async with self.bank.post("/v1/faults", json=wanted) as response:
            assert response.status == 201, await response.text()

    async def clear(self) -> None:
        async with self.bank.delete("/v1/faults") as response:
            assert response.status == 204

    async def books(self, reference: str) -> list[dict[str, Any]]:
        """What the provider's books have under a reference; no fault strikes here."""
        found: list[dict[str, Any]] = []
        after = "!"
        while True:
            async with self.bank.get("/v1/authorizations", params={"after": after, "since_us": "0"}) as response:
                page = (await response.json())["items"]
            if not page:
                return found
            after = page[-1]["authorization_id"]
            found += [item for item in page if item["reference"] == reference]

    async def book(self, reference: str) -> dict[str, Any]:
        """The only one."""
        (one,) = await self.books(reference)
        return one

    async def pay(self, url: str, token: str = "tok_ok") -> int:
        """As the buyer, on the provider's page; the status."""
        async with (
            aiohttp.ClientSession() as browser,
            browser.post(url, data={"card_token": token}, allow_redirects=False) as response,
        ):
            return response.status


@asynccontextmanager
async def opened(name: str, process: ProviderProcess) -> AsyncIterator[Kit]:
    provider = adapter(name, process.url)
    await provider.open()
    try:
        async with process.client(timeout_s=30) as bank:
            kit = Kit(name, process, provider, bank)
            await kit.clear()
            yield kit
    finally:
        await provider.close()
