"""One change of one order: lock, decide, write, book the money, stage the events; in the caller's transaction.

A decision that finds nothing to change writes nothing, so a change may be repeated whenever its outcome is not known.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, TypeVar

import msgspec

from billing.ledger.bookkeeping import entries_of
from billing.orders import announce
from billing.orders import rules as orders
from billing.orders.rules import Code, Decision, Fact, Order
from billing.orders.states import PaymentState
from billing.store import book, keys, ledger
from billing.store.keys import Answer
from billing.store.times import rfc3339, to_us
from ticketflow.delivery.outbox import Outbox
from ticketflow.events import HoldLine, Payload, envelope_for
from ticketflow.runtime.correlation import current_correlation
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.retry import retrying

Conn = Any
Decide = Callable[[Order], Decision]
T = TypeVar("T")

log = get_logger("orders")


class PaymentReply(msgspec.Struct, kw_only=True):
    """The answer to a payment. ``state``: AUTHORIZED, or STARTED while the provider's answer is not known, or while
    the buyer has not paid at ``redirect_url`` yet. ``credits_minor``: the part that credits pay."""

    payment_id: str
    order_id: str
    state: str
    amount_minor: int
    credits_minor: int
    currency: str
    started_at: str
    redirect_url: str | None = None
    redirect_until: str | None = None


class Said(msgspec.Struct, kw_only=True):
    """A problem, as it is kept to be said again."""

    code: str
    detail: str


@dataclass(frozen=True)
class Changed:
    """The order as it stands now; ``moved``: whether this change did anything."""

    order: Order
    moved: bool


class Changes:
    def __init__(self, outbox: Outbox[Conn]) -> None:
        self._outbox = outbox

    async def apply(
        self,
        conn: Conn,
        order_id: str,
        decide: Decide,
        *,
        payment_id: str | None = None,
        authorization_id: str | None = None,
        recheck: bool = False,
        moved_to: Sequence[HoldLine] = (),
    ) -> Changed | None:
        """None: there is no such order. ``authorization_id``: of ``payment_id``, when the provider has just told it.
        ``moved_to``: the places to have from now on, if the decision says that they have moved. Events are staged under
        the correlation that is bound. Raises Retryable, LedgerError."""
        record = await book.lock(conn, order_id)
        if record is None:
            return None
        decision = decide(record.order)
        if decision.facts:
            await book.save(conn, record, decision, authorization_id=authorization_id, recheck=recheck)
            if any(fact.code is Code.SEATS_MOVED for fact in decision.facts):
                await book.replace_lines(conn, record, moved_to)
            await self._follow(conn, record, decision, moved_to)
        elif authorization_id is not None and payment_id is not None:
            await book.note_authorization(conn, payment_id, authorization_id)
        return Changed(decision.order, bool(decision.facts))

    async def begin(
        self, conn: Conn, record: book.Record, decision: Decision, payment_id: str, *, method: str, provider: str
    ) -> None:
        """Writes a payment that begins by this decision. Raises InsufficientCredits, Retryable."""
        payment = decision.order.payment(payment_id)
        assert payment is not None, "the decision began it"
        record = changed(
            record,
            started_at_us=record.started_at_us | {payment_id: to_us(record.now)},
            providers=record.providers | {payment_id: provider},
        )
        await book.save(conn, record, decision, authorization_id=None, recheck=False)
        bound = current_correlation()
        await book.insert_payment(
            conn,
            record,
            payment,
            method=method,
            provider=provider,
            correlation_id=bound.id,
            traceparent=bound.traceparent,
        )
        await self._follow(conn, record, decision)

    async def nudge(self, conn: Conn, order_id: str, payment_id: str) -> bool:
        """Tells once more that this payment is authorised, if it still waits for reservation's word."""
        record = await book.lock(conn, order_id)
        payment = None if record is None else record.order.payment(payment_id)
        if record is None or payment is None or payment.state is not PaymentState.AUTHORIZED:
            return False
        await self._announce(conn, record, Decision(record.order, (Fact(Code.PAYMENT_AUTHORIZED, payment_id),)))
        return True

    async def note(self, conn: Conn, order_id: str, fact: Fact) -> bool:
        """Writes into the history what changes nothing. False: there is no such order."""
        if await book.lock(conn, order_id) is None:
            return False
        await book.write_history(conn, order_id, [fact])
        return True

    async def stage(self, conn: Conn, order_id: str, payloads: list[Payload]) -> None:
        bound = current_correlation()
        await self._outbox.stage(
            conn,
            [
                envelope_for(payload, key=order_id, correlation_id=bound.id, traceparent=bound.traceparent)
                for payload in payloads
            ],
        )

    async def _follow(
        self, conn: Conn, record: book.Record, decision: Decision, moved_to: Sequence[HoldLine] = ()
    ) -> None:
        """What a decision that is written down brings with it."""
        entries = entries_of(record.purchase, record.order, decision.order, record.providers)
        if entries:
            await ledger.record(conn, entries)
        await self._answer(conn, record, decision)
        await self._announce(conn, record, decision, moved_to)
        _log(record.order_id, decision)

    async def _announce(
        self, conn: Conn, record: book.Record, decision: Decision, moved_to: Sequence[HoldLine] = ()
    ) -> None:
        issued = any(fact.code is Code.TICKETS_ISSUED for fact in decision.facts)
        sale = announce.Sale(
            order_id=record.order_id,
            buyer_id=record.buyer_id,
            currency=record.currency,
            total_minor=decision.order.total_minor,
            captured_minor=decision.order.captured_minor,
            closing=decision.order.closing,
            started_at_us=record.started_at_us,
            tickets=await book.issue_tickets(conn, record) if issued else (),
            moved_to=moved_to,
        )
        payloads = announce.payloads_of(decision.facts, sale)
        if payloads:
            await self.stage(conn, record.order_id, payloads)

    async def _answer(self, conn: Conn, record: book.Record, decision: Decision) -> None:
        """Decides what a repeat of the buyer's request will be told, once a payment is no longer STARTED."""
        for new in decision.order.payments:
            old = record.order.payment(new.payment_id)
            undecided = old is None or old.state is PaymentState.STARTED
            if not undecided or new.state is PaymentState.STARTED:
                continue
            if new.state is PaymentState.FAILED:
                await keys.free(conn, new.payment_id)
            else:
                await keys.settle(conn, new.payment_id, answer_for(record, new, decision))


async def repeated(attempt: Callable[[], Awaitable[T]]) -> T:
    """Runs a transaction that may be repeated, until its outcome is known. Raises Unavailable only when it is certain
    that no attempt was committed, else Indefinite."""
    unknown = False

    async def noted() -> T:
        nonlocal unknown
        try:
            return await attempt()
        except Indefinite:
            unknown = True
            raise

    try:
        return await retrying(noted, on=(Retryable, Indefinite))
    except Unavailable as fault:
        if unknown:
            raise Indefinite(f"an attempt had no answer to its COMMIT; then: {fault}") from fault
        raise


def answer_for(record: book.Record, payment: orders.Payment, decision: Decision) -> Answer:
    """What the buyer is told about a payment that has just left STARTED for anything but FAILED."""
    if payment.state is PaymentState.DECLINED:
        reason = next((fact.reason for fact in decision.facts if fact.payment_id == payment.payment_id), None)
        said = Said(code="card_declined", detail=f"the card was declined: {reason}; another card may be tried")
        return Answer(402, msgspec.json.encode(said))
    if payment.state is PaymentState.VOIDING:
        said = Said(code="order_failed", detail="the seats were lost; no money is kept")
        return Answer(409, msgspec.json.encode(said))
    reply = PaymentReply(
        payment_id=payment.payment_id,
        order_id=record.order_id,
        state=PaymentState.AUTHORIZED,
        amount_minor=payment.amount_minor,
        credits_minor=payment.credits_minor,
        currency=record.currency,
        started_at=rfc3339(record.started_at_us[payment.payment_id]),
    )
    return Answer(201, msgspec.json.encode(reply))


def _log(order_id: str, decision: Decision) -> None:
    for fact in decision.facts:
        level = log.error if fact.code is Code.CONTRADICTION else log.info
        level(fact.code, order_id=order_id, payment_id=fact.payment_id, reason=fact.reason)
