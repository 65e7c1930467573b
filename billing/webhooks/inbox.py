"""What is done with a webhook that is stored: find out what it is about, ask the provider for the truth, do what the
workers do.

Laws:
- A webhook is a hint: nothing that it says is believed, but for what it is about.
- The steps are those of the workers (payments/settlements.py, wallets/topup_steps.py), guarded by the state of the
  payment or top-up: a webhook and our own call, two webhooks, or one webhook at two listeners have one effect, in any
  order.
- APPLIED means that the provider was asked after the webhook had come, and that what it said is written down; or that
  it told of a card's authorization that we know, which has no other one. Until then it is due again, later and
  later; after GIVEN_UP_AFTER_S only if the provider sends it once more.
"""

from typing import Any

from billing.ledger.causes import VerifiedWebhook
from billing.orders.changes import repeated
from billing.orders.states import NOT_LIVE, PaymentState
from billing.payments.giving_back import give_back
from billing.payments.settlements import Settlements, backoff_s
from billing.providers.port import Authorization, Provider, ProviderIndefinite, ProviderUnavailable
from billing.side_by_side import doubled_s
from billing.store import topups, webhooks, work
from billing.store.webhooks import State, Waiting
from billing.store.work import Work
from billing.wallets.topup_steps import TopupSteps
from billing.webhooks.door import TOTAL
from ticketflow.delivery.outbox import Outbox
from ticketflow.events import is_id
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool

GIVEN_UP_AFTER_S = 3 * 24 * 3600.0  # as long as providers themselves try
UNMATCHED_BACKOFF_S = (1.0, 3600.0)
BUSY_S = 0.25
KNOWN_ROWS = 500  # ids in one statement
TAKEN_FOR_S = 6.0  # a payment, as by its own workers

log = get_logger("webhooks")


class NotYet(Exception):
    """Another worker has it, or the provider has not made up its mind: to be tried again soon."""


class Webhooks:
    """``apply`` is the step of a worker that has taken the webhook."""

    def __init__(
        self,
        pool: MariaDBPool,
        provider: Provider,
        settlements: Settlements,
        topup_steps: TopupSteps,
        outbox: Outbox[Any],
        *,
        given_up_after_s: float = GIVEN_UP_AFTER_S,
    ) -> None:
        self._pool = pool
        self._provider = provider
        self._settlements = settlements
        self._topups = topup_steps
        self._outbox = outbox
        self._given_up_after_s = given_up_after_s

    async def apply_known(self) -> int:
        """Those from which nothing is to be learnt, all by one statement: each capture of a sale is told of."""
        async with self._pool.acquire() as conn:
            ids = await webhooks.known(conn, self._provider.name, KNOWN_ROWS)
        if not ids:
            return 0

        async def change() -> int:
            async with self._pool.transaction() as conn:
                return await webhooks.all_applied(conn, ids)

        count = await repeated(change)
        TOTAL.labels("applied").inc(count)
        return len(ids)

    async def apply(self, one: Waiting) -> None:
        try:
            reference = await self._applied(one)
        except NotYet as reason:
            return await self._not_yet(one, "busy", one.state, str(reason), BUSY_S)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            return await self._not_yet(one, "postponed", one.state, str(error), backoff_s(one.attempts))
        if reference is None:
            delay_s = unmatched_s(one.attempts)
            return await self._not_yet(one, "unmatched", "UNMATCHED", "it names nothing of ours", delay_s)
        return await self._done(one, reference)

    async def failed(self, one: Waiting, error: Exception) -> None:
        """Our own code could not handle it."""
        log.error("webhook_failed", webhook_id=one.webhook_id, kind=one.kind, exc_info=error)
        await self._not_yet(one, "failed", one.state, type(error).__name__, backoff_s(one.attempts))

    async def _applied(self, one: Waiting) -> str | None:
        """What it was about; None: nothing of ours. Raises ProviderError, NotYet."""
        if one.provider != self._provider.name:
            raise ProviderUnavailable(f"it is {one.provider}'s, and {self._provider.name} is set up")
        told = None if one.authorization_id is None else await self._provider.read(one.authorization_id)
        reference = (told.reference if told else None) or one.reference
        if reference is None or not is_id(reference):
            return None
        async with self._pool.acquire() as conn:
            payment = await work.of_payment(conn, reference)
            topup = None if payment is not None else await topups.read(conn, reference)
        if payment is not None:
            await self._payment(payment, told)
        elif topup is not None:
            evidence = VerifiedWebhook(one.webhook_id, one.provider)
            await self._topups.told(topup, evidence, told, asked=one.authorization_id is not None)
        else:
            return None
        return reference

    async def _payment(self, payment: Work, told: Authorization | None) -> None:
        """``told``: what the provider has just said about the authorization that the webhook names."""
        match payment.state:
            case PaymentState.STARTED:
                await self._take(payment)
                await self._settlements.resolve(payment, told if told and told.holds_money else None)
            case PaymentState.FAILED | PaymentState.VOIDED:
                await self._take(payment)
                await self._settlements.recheck(payment)
            case PaymentState.DECLINED:
                await self._settlements.recheck(payment)
            case _:
                pass
        async with self._pool.acquire() as conn:
            now = await work.of_payment(conn, payment.payment_id)
        assert now is not None, "payments are never deleted"
        if now.authorization_id is not None and now.state not in NOT_LIVE:
            await self._settlements.give_back_extras(now)
        await self._nothing_left(now, told)

    async def _take(self, payment: Work) -> None:
        """Raises NotYet."""
        async with self._pool.transaction() as conn:
            if not await work.take_one(conn, payment, TAKEN_FOR_S):
                raise NotYet("another worker has the payment")

    async def _nothing_left(self, payment: Work, told: Authorization | None) -> None:
        """The money that the webhook told of is the payment's, or has gone back; also when a search by our reference
        did not find it. Raises NotYet, ProviderError."""
        if told is None or not told.holds_money or _counts(payment, told.authorization_id):
            return
        if payment.state not in NOT_LIVE and payment.authorization_id is None:
            raise NotYet("whose money it is will be known soon")
        now = await self._provider.read(told.authorization_id)
        if now is not None and now.holds_money:
            await give_back(self._provider, now)
            log.warning("stray_authorization", payment_id=payment.payment_id, authorization_id=now.authorization_id)

    async def _done(self, one: Waiting, reference: str) -> None:
        async def change() -> None:
            async with self._pool.transaction() as conn:
                await webhooks.applied(conn, one.webhook_id, reference)

        await repeated(change)
        TOTAL.labels("applied").inc()
        self._outbox.notify()

    async def _not_yet(self, one: Waiting, outcome: str, state: State, detail: str, delay_s: float) -> None:
        over = one.age_s > self._given_up_after_s

        async def change() -> None:
            async with self._pool.transaction() as conn:
                await webhooks.not_yet(conn, one.webhook_id, state, detail, None if over else delay_s)

        await repeated(change)
        TOTAL.labels("given_up" if over else outcome).inc()
        if outcome != "busy" or over:
            log.warning(
                "webhook_given_up" if over else "webhook_postponed",
                webhook_id=one.webhook_id,
                outcome=outcome,
                attempts=one.attempts + 1,
                delay_s=delay_s,
                detail=detail,
            )


def _counts(payment: Work, authorization_id: str | None) -> bool:
    """Whether this is the authorization that pays, or is being given back by its own worker."""
    waits = payment.state in NOT_LIVE or payment.state is PaymentState.STARTED
    return not waits and authorization_id is not None and payment.authorization_id == authorization_id


def unmatched_s(attempts: int) -> float:
    """How long until one that names nothing of ours is looked at again."""
    return doubled_s(attempts, UNMATCHED_BACKOFF_S)
