"""What becomes of a top-up: credited, or its money given back.

Laws:
- Credits come of a verified webhook and of what the provider then says about the very payment that it names; of
  nothing else. Money that was paid and that nobody has told us of goes back.
- Exactly what was asked for is credited: another amount or currency goes back.
- The entry in the ledger and the top-up's state change in one transaction, once.
- Money beyond that, and money for a top-up that is over, goes back.
"""

from billing.ledger.causes import VerifiedWebhook
from billing.orders.changes import repeated
from billing.payments.giving_back import give_back
from billing.payments.settlements import backoff_s
from billing.providers.port import Authorization, Provider, ProviderIndefinite, ProviderUnavailable, Refused
from billing.store import keys, topups, wallets, webhooks
from billing.store.topups import Topup
from ticketflow.runtime import metrics
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool

TOTAL = metrics.counter("billing_topups_total", "Top-ups, by how they ended.", ("outcome",))

log = get_logger("topups")


class TopupSteps:
    """Each may be repeated, by the same worker or by two at once."""

    def __init__(self, pool: MariaDBPool, provider: Provider) -> None:
        self._pool = pool
        self._provider = provider

    async def told(
        self, topup: Topup, webhook: VerifiedWebhook, told: Authorization | None, *, asked: bool = True
    ) -> None:
        """A webhook was about it; ``told``: what the provider says about the payment that the webhook names, if it
        named one (``asked``). Raises ProviderUnavailable, ProviderIndefinite."""
        found = told if asked else await self._asked(topup).fetch(topup.topup_id)
        if found is None:
            return
        if topup.state == "STARTED" and found.holds_money:
            await self._credit(topup, webhook, found)
        elif topup.state in ("RETURNED", "FAILED") and found.holds_money:
            await self._return(topup, "too_late", found)
        await self._extras(topup.topup_id, found)

    async def step(self, due: Topup) -> None:
        """Of a worker that has taken it."""
        try:
            if due.state == "STARTED":
                await self._look(due)
            else:
                await self._give_back(due)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            log.warning("topup_postponed", topup_id=due.topup_id, state=due.state, error=str(error))
            await self._postpone(due)

    async def failed(self, due: Topup, error: Exception) -> None:
        """Our own code could not handle it."""
        log.error("topup_failed", topup_id=due.topup_id, state=due.state, exc_info=error)
        TOTAL.labels("error").inc()
        await self._postpone(due)

    async def _look(self, due: Topup) -> None:
        """STARTED, its page is over, and no webhook has been applied. What does the provider say?"""
        found = await self._asked(due).fetch(due.topup_id)
        if found is None or not found.holds_money:
            return await self._give_up(due)
        async with self._pool.acquire() as conn:
            webhook_id = await webhooks.telling_of(conn, due.provider, due.topup_id, found.authorization_id)
        if webhook_id is None:
            return await self._return(due, "no_webhook", found)
        return await self._credit(due, VerifiedWebhook(webhook_id, due.provider), found)

    async def _credit(self, topup: Topup, webhook: VerifiedWebhook, found: Authorization) -> None:
        """STARTED: the money is there."""
        if (wrong := _wrong(topup, found)) is not None:
            await self._return(topup, wrong, found)
            return
        if found.state == "authorized":
            found = await self._captured(topup, found)
        if found.kept_minor != topup.amount_minor:
            await self._return(topup, "amount_differs", found)
            return

        async def credit() -> bool:
            async with self._pool.transaction() as conn:
                locked = await topups.lock(conn, topup.topup_id)
                if locked is None or locked.state != "STARTED":
                    return False
                await wallets.top_up(
                    conn, locked.topup_id, locked.buyer_id, locked.amount_minor, locked.currency, webhook
                )
                return await topups.move(conn, locked, "CREDITED", authorization_id=found.authorization_id)

        if await repeated(credit):
            TOTAL.labels("credited").inc()
            log.info("topup_credited", topup_id=topup.topup_id, webhook_id=webhook.webhook_id)

    async def _captured(self, topup: Topup, found: Authorization) -> Authorization:
        """As it stands afterwards. A refusal is not believed before the provider has been asked for the truth."""
        try:
            return await self._asked(topup).capture(
                found.authorization_id, topup.amount_minor, key=f"{topup.topup_id}:capture"
            )
        except Refused as error:
            known = await self._provider.read(found.authorization_id)
            if known is None or known.state == "authorized":
                raise ProviderUnavailable(f"capture refused: {error}") from error
            return known

    async def _return(self, topup: Topup, reason: str, found: Authorization) -> None:
        """What is there cannot be credited: it is given back, by the worker."""

        async def change() -> bool:
            async with self._pool.transaction() as conn:
                return await topups.move(
                    conn, topup, "RETURNING", reason=reason, authorization_id=found.authorization_id, due_s=0
                )

        if await repeated(change):
            TOTAL.labels("returning").inc()
            log.warning("topup_returning", topup_id=topup.topup_id, reason=reason, kept_minor=found.kept_minor)

    async def _give_back(self, due: Topup) -> None:
        """RETURNING: all that stands under its reference, and what we know by its id."""
        provider = self._asked(due)
        found = {one.authorization_id: one for one in await provider.fetch_all(due.topup_id)}
        if due.authorization_id is not None and due.authorization_id not in found:
            known = await provider.read(due.authorization_id)
            found |= {} if known is None else {known.authorization_id: known}
        for one in found.values():
            if one.holds_money:
                await give_back(provider, one)

        async def change() -> bool:
            async with self._pool.transaction() as conn:
                return await topups.move(conn, due, "RETURNED")

        if await repeated(change):
            TOTAL.labels("returned").inc()
            log.info("topup_returned", topup_id=due.topup_id, reason=due.reason)

    async def _give_up(self, due: Topup) -> None:
        async def change() -> bool:
            async with self._pool.transaction() as conn:
                await keys.free(conn, due.topup_id)
                return await topups.move(conn, due, "FAILED", reason="abandoned")

        if await repeated(change):
            TOTAL.labels("abandoned").inc()

    async def _extras(self, topup_id: str, told: Authorization) -> None:
        """A page can be paid twice. Of what was credited nothing may be missing either."""
        async with self._pool.acquire() as conn:
            topup = await topups.read(conn, topup_id)
        if topup is None or topup.state != "CREDITED":
            return
        found = {told.authorization_id: told} | {
            one.authorization_id: one for one in await self._asked(topup).fetch_all(topup_id)
        }
        for one in found.values():
            if one.authorization_id == topup.authorization_id:
                if one.kept_minor < topup.amount_minor and one.state != "authorized":
                    TOTAL.labels("taken_back").inc()
                    log.error("topup_taken_back", topup_id=topup_id, kept_minor=one.kept_minor)
            elif one.holds_money:
                await give_back(self._provider, one)
                log.warning("topup_paid_twice", topup_id=topup_id, authorization_id=one.authorization_id)

    def _asked(self, topup: Topup) -> Provider:
        """Raises ProviderUnavailable when it was begun at another provider than the one that is set up now."""
        if topup.provider != self._provider.name:
            raise ProviderUnavailable(f"the top-up is {topup.provider}'s, and {self._provider.name} is set up")
        return self._provider

    async def _postpone(self, due: Topup) -> None:
        async with self._pool.transaction() as conn:
            await topups.postpone(conn, due, backoff_s(due.attempts))


def _wrong(topup: Topup, found: Authorization) -> str | None:
    """Why it is not what was asked for."""
    if found.currency is not None and found.currency != topup.currency:
        return "currency_differs"
    return "amount_differs" if found.amount_minor != topup.amount_minor else None
