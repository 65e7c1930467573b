"""What the payment provider says, asked by our references, one after the other and not too fast.

Through billing's port, whichever provider is set up. What is asked about a payment that was begun at another provider
is not asked: whoever changes provider runs the audit once with the old one's settings.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from audit.money.limits import Limits
from audit.money.sides import Deal, Payment, Taken
from audit.settings import AuditSettings
from billing.providers.choice import provider_of
from billing.providers.port import Authorization, Provider, ProviderUnavailable
from billing.settings import ProviderSettings

Which = Literal["all", "recent", "none"]


class Asking:
    """``which``: whether to ask about all payments, those that changed lately, or none. ``away`` says why one could not
    be asked; from then on nobody is asked in this round."""

    def __init__(self, provider: Provider | None, limits: Limits, which: Which) -> None:
        self.provider = provider
        self._limits = limits
        self._which: Which = which if provider is not None else "none"
        self._next_at = 0.0
        self.asked = 0
        self.away = ""

    async def about(self, deal: Deal) -> dict[str, list[Taken]]:
        """By payment."""
        found: dict[str, list[Taken]] = {}
        for payment_id in self._references(deal):
            taken = await self.fetch(payment_id)
            if taken is not None:
                found[payment_id] = taken
        return found

    async def fetch(self, reference: str) -> list[Taken] | None:
        """None: it could not be asked, or is not to be."""
        if self.provider is None or self._which == "none" or self.away:
            return None
        await self._not_too_fast()
        try:
            found = await self.provider.fetch_all(reference)
        except ProviderUnavailable as error:
            self.away = str(error)
            return None
        self.asked += 1
        return [taken_of(one) for one in found]

    def _references(self, deal: Deal) -> list[str]:
        assert self.provider is not None or self._which == "none"
        if self.provider is None or self._which == "none":
            return []
        name = self.provider.name
        payments = deal.order.payments if deal.order is not None else ()
        wanted = [p.payment_id for p in payments if p.card_minor and p.provider == name and self._wanted(deal, p)]
        known = {payment.payment_id for payment in payments}
        hold = deal.hold
        if (
            hold is not None
            and hold.payment_id is not None
            and hold.payment_id not in known
            and self._lately(hold.age_s)
        ):
            wanted.append(hold.payment_id)
        return wanted

    def _wanted(self, deal: Deal, payment: Payment) -> bool:
        return self._lately(payment.age_s) or (deal.order is not None and self._lately(deal.order.age_s))

    def _lately(self, age_s: float) -> bool:
        return self._which == "all" or age_s <= self._limits.recent_s

    async def _not_too_fast(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        at = max(now, self._next_at)
        self._next_at = at + 1 / self._limits.provider_rate
        if at > now:
            await asyncio.sleep(at - now)


def taken_of(one: Authorization) -> Taken:
    return Taken(one.authorization_id, one.state, one.captured_minor, one.refunded_minor)


@asynccontextmanager
async def opened_provider(settings: AuditSettings) -> AsyncIterator[Provider | None]:
    """None: none is set up here."""
    if settings.provider_url is None or settings.provider_key is None:
        yield None
        return
    provider = provider_of(
        ProviderSettings(
            database_hosts=settings.billing_hosts,
            database_name=settings.billing_name,
            database_user=settings.billing_user,
            database_password=settings.billing_password,
            provider=settings.provider,
            provider_url=settings.provider_url,
            provider_key=settings.provider_key,
            provider_currency=settings.provider_currency,
        )
    )
    await provider.open()
    try:
        yield provider
    finally:
        await provider.close()
