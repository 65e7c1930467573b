"""A buyer's payment: begin, authorise, answer.

Laws:
- The payment is committed before the provider hears of it, and no transaction is open while it is asked.
- One Idempotency-Key begins one payment. Whoever repeats it is told what became of that payment, word for word the
  same once it is decided; while it is not, he waits, and then is told so (202).
- When nothing was charged and nothing will be (provider out of reach), the key is free again: the same request may
  succeed later.
- A payment on a page of the provider's (redirect) is answered with the page's address; the rest is found out as if the
  answer were not known: by the provider's webhook, or by asking.
- What credits pay is frozen in the transaction that begins the payment. Without a card's part nobody else is asked.
- A process that dies in between leaves the payment STARTED. The resolver (settlements.py) asks the provider; nobody
  ever charges a second time to find out.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from billing.ledger.entries import InsufficientCredits
from billing.orders import rules as orders
from billing.orders.answers import PaymentReply, Said
from billing.orders.applying import Applying
from billing.orders.changes import Changes, Decide, Wanted, repeated
from billing.orders.rules import Refusal
from billing.orders.states import PaymentState
from billing.payments.arriving import Arrivals, young
from billing.providers.port import Authorization, Declined, Provider, ProviderIndefinite, ProviderUnavailable, Refused
from billing.store import book, keys, views, work
from billing.store.keys import Answer, KeyTaken
from billing.store.times import rfc3339, to_us
from ticketflow.delivery.outbox import Outbox
from ticketflow.events import new_id
from ticketflow.runtime.correlation import current_correlation
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.problem import Problem

WAIT_S = 6.0  # of a repeated request for the first one's answer: the provider's 5 s, and a transaction
WAIT_STEP_S = 0.1
NOT_YET = "order_not_yet"
LOOK_SOON_S = 0.2  # an indefinite answer is looked into at once, not after the resolver's normal delay

REFUSED_STATUS = {
    Refusal.HOLD_EXPIRED: (410, "the hold's time is over; no payment can begin"),
    Refusal.ORDER_CONFIRMED: (409, "this order is paid"),
    Refusal.ORDER_FAILED: (409, "this order has failed; nothing can be paid for it"),
}

Method = Literal["card", "credits", "redirect"]

log = get_logger("payments")


@dataclass(frozen=True)
class Ask:
    """A request to pay. ``scope`` and ``key`` name it, ``fingerprint`` is its content."""

    order_id: str
    key: str
    fingerprint: bytes
    method: Method
    card_token: str = ""
    credits_minor: int = 0  # of a card's or redirect's payment; with the method credits they pay it all

    @property
    def scope(self) -> str:
        return f"order:{self.order_id}"


@dataclass(frozen=True)
class Told:
    """``status`` 201, 202, or a problem's with its code and detail in ``body``."""

    status: int
    body: bytes
    replayed: bool = False


@dataclass(frozen=True)
class _Begun:
    payment_id: str
    card_minor: int
    currency: str
    method: Method


class Payments:
    def __init__(
        self,
        pool: MariaDBPool,
        changes: Changes,
        provider: Provider,
        outbox: Outbox[Any],
        *,
        wait_s: float = WAIT_S,
        arrivals: Arrivals | None = None,
    ) -> None:
        self._pool = pool
        self._changes = changes
        self._provider = provider
        self._outbox = outbox
        self._wait_s = wait_s
        self._arrivals = arrivals or Arrivals(pool)
        self._applying = Applying(pool, changes)

    async def pay(self, ask: Ask) -> Told:
        """Raises Problem, Unavailable (nothing happened), Indefinite (repeat with the same key)."""
        payment_id = new_id()
        try:
            # An unknown COMMIT is repeated identically: the key with our payment id under it tells that it was done.
            begun = await self._begun(ask, payment_id)
        except KeyTaken:
            if (mine := await self._begun_before(payment_id)) is None:
                return await self._told_before(ask)
            begun = mine
        if isinstance(begun, Answer):
            return Told(begun.status, begun.body)
        if begun.card_minor == 0:
            self._outbox.notify()
            return await self._told_before(ask, replayed=False)
        if begun.method == "redirect":
            return await self._send_there(ask, begun)
        return await self._authorize(ask, begun)

    async def _begun(self, ask: Ask, payment_id: str) -> _Begun | Answer:
        """Waits a moment for an order that is on its way."""
        waited = young(ask.order_id)  # to look costs less than to begin in vain
        if waited:
            await self._arrivals.arrived(ask.order_id)
        try:
            return await repeated(lambda: self._begin(ask, payment_id))
        except Problem as problem:
            if problem.code != NOT_YET or waited or not await self._arrivals.arrived(ask.order_id):
                raise
        return await repeated(lambda: self._begin(ask, payment_id))

    async def _begin(self, ask: Ask, payment_id: str) -> _Begun | Answer:
        """Claims the key and inserts the payment, or keeps the refusal under the key."""
        async with self._pool.transaction() as conn:
            record = await book.claim_and_lock(
                conn, ask.order_id, scope=ask.scope, key=ask.key, fingerprint=ask.fingerprint, payment_id=payment_id
            )
            if record is None:
                raise Problem(409, NOT_YET, "the hold is real, but its order has not arrived here yet", retry_after_s=1)
            total_minor = record.order.total_minor
            if ask.credits_minor > total_minor:
                raise Problem(422, "credits_too_many", f"the order costs {total_minor}, in minor units")
            decision = orders.start_payment(
                record.order,
                payment_id,
                in_time=record.in_time,
                credits_minor=total_minor if ask.method == "credits" else ask.credits_minor,
                redirect=ask.method == "redirect",
            )
            if isinstance(decision, Refusal):
                answer = _refusal(decision)
                await keys.refuse(conn, payment_id, answer)
                return answer
            try:
                await self._changes.begin(
                    conn, record, decision, payment_id, method=ask.method, provider=self._provider.name
                )
            except InsufficientCredits as error:  # the key stays free: more may be bought
                raise Problem(402, error.code, "the buyer has fewer credits than that") from error
            payment = decision.order.payment(payment_id)
            assert payment is not None
            return _Begun(payment_id, payment.card_minor, record.currency, ask.method)

    async def _begun_before(self, payment_id: str) -> _Begun | None:
        """Ours, when the COMMIT whose answer got lost had been done."""
        async with self._pool.acquire() as conn:
            found = await views.payment(conn, payment_id)
        if found is None:
            return None
        return _Begun(payment_id, found["amount_minor"] - found["credits_minor"], found["currency"], found["method"])

    async def _send_there(self, ask: Ask, begun: _Begun) -> Told:
        """The page where the buyer pays. While nobody knows its address nobody can pay there: whatever goes wrong,
        nothing is charged."""
        payment_id = begun.payment_id
        try:
            page = await self._provider.begin(
                reference=payment_id, amount_minor=begun.card_minor, currency=begun.currency
            )
        except (ProviderIndefinite, ProviderUnavailable, Refused) as error:
            log.warning("provider_unavailable", payment_id=payment_id, error=str(error))

            async def undo() -> None:
                async with self._pool.transaction() as conn:
                    decide: Decide = lambda o: orders.not_charged(o, payment_id, "provider_unavailable")  # noqa: E731
                    await self._changes.apply(conn, ask.order_id, decide)

            await repeated(undo)
            raise _not_charged() from error

        async def record() -> keys.Claimed | None:
            async with self._pool.transaction() as conn:
                await book.note_redirect(conn, payment_id, page.url, page.expires_at_us)
                found = await views.payment(conn, payment_id)
                assert found is not None, "payments are never deleted"
                if found["state"] == PaymentState.STARTED:
                    await keys.settle(conn, payment_id, Answer(201, msgspec.json.encode(_reply(found))))
                return await keys.find(conn, ask.scope, ask.key)

        claimed = await repeated(record)
        if claimed is None or claimed.payment_id != payment_id or claimed.answer is None:
            raise _not_charged()
        return Told(claimed.answer.status, claimed.answer.body)

    async def _authorize(self, ask: Ask, begun: _Begun) -> Told:
        authorization: Authorization | None = None
        try:
            authorization = await self._provider.authorize(
                reference=begun.payment_id,
                amount_minor=begun.card_minor,
                currency=begun.currency,
                card_token=ask.card_token,
            )
        except ProviderIndefinite as error:
            log.warning("payment_outcome_unknown", payment_id=begun.payment_id, error=str(error))
            try:
                return await self._not_known_yet(begun.payment_id)
            except Unavailable as fault:  # which would say that nothing has happened
                raise Indefinite(f"the provider's answer is not known: {fault}") from error
        except Declined as error:
            reason = str(error)
            decide = lambda order: orders.declined(order, begun.payment_id, reason)  # noqa: E731
        except (ProviderUnavailable, Refused) as error:
            log.warning("provider_unavailable", payment_id=begun.payment_id, error=str(error))
            decide = lambda order: orders.not_charged(order, begun.payment_id, "provider_unavailable")  # noqa: E731
        else:
            decide = lambda order: orders.authorized(order, begun.payment_id)  # noqa: E731

        wanted = Wanted(
            ask.order_id,
            decide,
            current_correlation(),
            payment_id=begun.payment_id,
            authorization_id=authorization.authorization_id if authorization else None,
        )
        try:
            changed = await self._applying.apply(wanted)
            self._outbox.notify()
            if changed is not None and changed.answer is not None:
                return Told(changed.answer.status, changed.answer.body)
            async with self._pool.acquire(plain=True) as conn:  # somebody else has decided it, or the key is free again
                claimed = await keys.find(conn, ask.scope, ask.key)
        except Unavailable as error:  # the provider has answered, and we cannot write it down: the resolver will
            raise Indefinite(f"the payment's outcome could not be stored yet: {error}") from error
        if claimed is None or claimed.payment_id != begun.payment_id:
            raise _not_charged()
        if claimed.answer is None:
            return await self._not_known_yet(begun.payment_id)
        return Told(claimed.answer.status, claimed.answer.body)

    async def _told_before(self, ask: Ask, *, replayed: bool = True) -> Told:
        """What the first request of this key was told, as soon as it is decided."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_s
        while True:
            async with self._pool.acquire() as conn:
                claimed = await keys.find(conn, ask.scope, ask.key)
            if claimed is None:
                raise _not_charged()
            if claimed.fingerprint != ask.fingerprint:
                raise Problem(422, "idempotency_mismatch", "this Idempotency-Key was used for another request")
            if claimed.answer is not None:
                return Told(claimed.answer.status, claimed.answer.body, replayed)
            if loop.time() >= deadline and claimed.payment_id is not None:
                return await self._not_known_yet(claimed.payment_id)
            await asyncio.sleep(WAIT_STEP_S)

    async def _not_known_yet(self, payment_id: str) -> Told:
        """202, and the resolver is asked to look soon."""
        async with self._pool.transaction() as conn:
            await work.postpone(conn, payment_id, PaymentState.STARTED, LOOK_SOON_S)
            found = await views.payment(conn, payment_id)
        assert found is not None, "payments are never deleted"
        return Told(202, msgspec.json.encode(_reply(found)))


def _reply(payment: views.Row) -> PaymentReply:
    until = payment["redirect_until"]
    return PaymentReply(
        payment_id=payment["payment_id"],
        order_id=payment["order_id"],
        state=payment["state"],
        amount_minor=payment["amount_minor"],
        credits_minor=payment["credits_minor"],
        currency=payment["currency"],
        started_at=rfc3339(to_us(payment["started_at"])),
        redirect_url=payment["redirect_url"],
        redirect_until=None if until is None else rfc3339(to_us(until)),
    )


def _refusal(refusal: Refusal) -> Answer:
    """Final refusals are kept under the key. Raises Problem for one that may pass."""
    if refusal is Refusal.PAYMENT_IN_PROGRESS:
        raise Problem(409, refusal, "another payment for this order is under way", retry_after_s=1)
    status, detail = REFUSED_STATUS[refusal]
    return Answer(status, msgspec.json.encode(Said(code=refusal, detail=detail)))


def _not_charged() -> Problem:
    detail = "the payment provider cannot be reached; nothing was charged, and the same request may be repeated"
    return Problem(503, "provider_unavailable", detail, retry_after_s=2)
