"""A buyer begins to buy credits: a page of the provider's to pay on. What follows is in topup_steps.py.

Laws:
- The top-up is committed before the provider hears of it; its id is our reference there.
- One Idempotency-Key begins one top-up. A repeat, also after a crash in between, asks the provider for the same page
  again, which gives the same one.
- When there is no page nobody can pay: the top-up has failed and the key is free again.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from billing.orders.changes import repeated
from billing.payments.paying import Told
from billing.providers.port import Provider, ProviderIndefinite, ProviderUnavailable, Refused
from billing.store import keys, topups
from billing.store.keys import Answer, KeyTaken
from billing.store.topups import Topup
from billing.wallets.shapes import topup_view
from ticketflow.currencies import EXPONENTS
from ticketflow.events import new_id
from ticketflow.runtime.correlation import current_correlation
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.problem import Problem

OPEN_MAX = 10  # pages of one buyer that are not paid: each is a row here and a page at the provider for a day
NO_PAGE_S = 600.0  # whoever begins one has its page within seconds, or repeats his request
MARGIN_S = 300.0  # what was paid in the page's last second has been told of by then

log = get_logger("topups")


@dataclass(frozen=True)
class AskTopup:
    """A request to buy credits, under the buyer's ``key``; ``fingerprint`` is its content."""

    buyer_id: str
    key: str
    fingerprint: bytes
    amount_minor: int
    currency: str

    @property
    def scope(self) -> str:
        """A buyer's id may be as long as the column."""
        return f"wallet:{hashlib.sha256(self.buyer_id.encode()).hexdigest()[:48]}"


class Topups:
    """``max_minor``: the most that one may bring. ``heard``: whether webhooks can come, of which alone credits come."""

    def __init__(self, pool: MariaDBPool, provider: Provider, *, max_minor: int, heard: bool = True) -> None:
        self._pool = pool
        self._provider = provider
        self._max_minor = max_minor
        self._heard = heard

    async def begin(self, ask: AskTopup) -> Told:
        """Raises Problem, Unavailable (nothing happened), Indefinite (repeat with the same key)."""
        self._check(ask)
        topup_id = new_id()
        try:
            begun = await repeated(lambda: self._insert(ask, topup_id))
        except KeyTaken:
            return await self._go_on(ask)
        return await self._send_there(ask, begun, replayed=False)

    def _check(self, ask: AskTopup) -> None:
        if not self._heard:
            raise Problem(
                503, "topups_closed", "no credits are sold here: there is no secret for the provider's webhooks"
            )
        if ask.currency not in EXPONENTS:
            raise Problem(422, "currency_unknown", "currency is a code of ISO 4217")
        if ask.amount_minor > self._max_minor:
            raise Problem(422, "topup_too_large", f"a top-up brings {self._max_minor} at most, in minor units")

    async def _insert(self, ask: AskTopup, topup_id: str) -> Topup:
        async with self._pool.transaction() as conn:
            await keys.claim(conn, ask.scope, ask.key, ask.fingerprint, topup_id)
            if await topups.open_ones(conn, ask.buyer_id) >= OPEN_MAX:
                raise Problem(429, "too_many_topups", f"{OPEN_MAX} top-ups wait to be paid", retry_after_s=60)
            await topups.insert(
                conn,
                topup_id,
                ask.buyer_id,
                amount_minor=ask.amount_minor,
                currency=ask.currency,
                provider=self._provider.name,
                due_s=NO_PAGE_S,
                correlation_id=current_correlation().id,
            )
            made = await topups.read(conn, topup_id)
        assert made is not None, "it was inserted in this transaction"
        return made

    async def _go_on(self, ask: AskTopup) -> Told:
        """The key is taken: its answer, or what is left to do of it."""
        async with self._pool.acquire() as conn:
            claimed = await keys.find(conn, ask.scope, ask.key)
            topup_id = None if claimed is None else claimed.payment_id
            begun = None if topup_id is None else await topups.read(conn, topup_id)
        if claimed is not None and claimed.fingerprint != ask.fingerprint:
            raise Problem(422, "idempotency_mismatch", "this Idempotency-Key was used for another request")
        if claimed is not None and claimed.answer is not None:
            return Told(claimed.answer.status, claimed.answer.body, replayed=True)
        if begun is None:
            raise _no_page()
        return await self._send_there(ask, begun, replayed=True)

    async def _send_there(self, ask: AskTopup, begun: Topup, *, replayed: bool) -> Told:
        try:
            page = await self._provider.begin(
                reference=begun.topup_id, amount_minor=begun.amount_minor, currency=begun.currency
            )
        except (ProviderIndefinite, ProviderUnavailable, Refused) as error:
            log.warning("topup_without_page", topup_id=begun.topup_id, error=str(error))
            await repeated(lambda: self._fail(begun.topup_id))
            if isinstance(error, Refused):
                raise Problem(422, "topup_refused", f"the provider will not take this: {error}") from error
            raise _no_page() from error

        async def record() -> keys.Claimed | None:
            async with self._pool.transaction() as conn:
                if await topups.note_redirect(conn, begun.topup_id, page.url, page.expires_at_us, MARGIN_S):
                    made = await topups.read(conn, begun.topup_id)
                    assert made is not None, "top-ups are never deleted"
                    await keys.settle(conn, begun.topup_id, Answer(201, msgspec.json.encode(topup_view(made))))
                return await keys.find(conn, ask.scope, ask.key)

        claimed = await repeated(record)
        if claimed is None or claimed.payment_id != begun.topup_id or claimed.answer is None:
            raise _no_page()
        return Told(claimed.answer.status, claimed.answer.body, replayed)

    async def _fail(self, topup_id: str) -> None:
        """Unless a repeat of the request has got the page meanwhile."""
        async with self._pool.transaction() as conn:
            locked = await topups.lock(conn, topup_id)
            if locked is not None and locked.redirect_url is None:
                await topups.move(conn, locked, "FAILED", reason="provider_unavailable")
                await keys.free(conn, topup_id)


def _no_page() -> Problem:
    detail = "the payment provider cannot be reached; nothing was charged, and the same request may be repeated"
    return Problem(503, "provider_unavailable", detail, retry_after_s=2)
