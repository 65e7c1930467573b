"""Refunds: decided, and carried out. The provider's part in between is paying_back.py's.

Laws:
- A refund is decided in one transaction that holds the order's row: its tickets die there, and it is counted there. So
  two that want the same tickets at once cannot both have them, and never is more given back than was paid.
- It is carried out in one transaction too: the ledger, the order's state, and what the others are told.
- One Idempotency-Key makes one refund. A request that is refused keeps no key: it may be repeated later.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from billing.ledger.causes import refund as card_entry
from billing.ledger.causes import refund_credits as credits_entry
from billing.orders.changes import Changes, repeated
from billing.orders.rules import Code, Fact
from billing.orders.states import OrderState
from billing.refunds import rules
from billing.refunds.rules import Refusal, Wish
from billing.refunds.shapes import RefundView, view_of
from billing.refunds.split import NOTHING, Parts
from billing.store import book, keys, ledger, order_rows, refund_work, refunds
from billing.store.keys import Answer, KeyTaken
from billing.store.refunds import REFUNDED, Refund
from ticketflow.delivery.outbox import Outbox
from ticketflow.events import OrderRefunded, TicketsVoided, new_id
from ticketflow.runtime import metrics
from ticketflow.runtime.correlation import bind_correlation, current_correlation
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.problem import Problem

Conn = Any

REFUSED_DETAIL = {
    Refusal.ORDER_NOT_PAID: "only what was paid can be refunded",
    Refusal.TICKET_UNKNOWN: "the order has no such ticket",
    Refusal.TICKET_VOIDED: "one of these tickets has been refunded already",
    Refusal.NOTHING_LEFT: "the order has no good ticket left",
    Refusal.REFUND_TOO_LARGE: "that is more than those tickets cost, or more than is left of what was paid",
}
TOLD = 202  # the money follows

REFUNDS = metrics.counter("billing_refunds_total", "Refunds requested, paid and refused by the provider.", ("outcome",))

log = get_logger("refunds")


@dataclass(frozen=True)
class Ask:
    """A request to refund. ``key`` names it, ``fingerprint`` is its content."""

    order_id: str
    key: str
    fingerprint: bytes
    wish: Wish
    reason: str
    seats_back: bool

    @property
    def scope(self) -> str:
        return f"refund:{self.order_id}"


class Refunds:
    def __init__(self, pool: MariaDBPool, changes: Changes, outbox: Outbox[Any]) -> None:
        self._pool = pool
        self._changes = changes
        self._outbox = outbox

    async def request(self, ask: Ask) -> tuple[Answer, bool]:
        """The answer, and whether it was given before. Raises Problem, Unavailable, Indefinite (repeat with the same
        key)."""
        refund_id = new_id()

        async def attempt() -> Answer:
            async with self._pool.transaction() as conn:
                await keys.claim(conn, ask.scope, ask.key, ask.fingerprint, refund_id)
                decided = await self.decide(
                    conn, refund_id, ask.order_id, ask.wish, reason=ask.reason, seats_back=ask.seats_back
                )
                if decided is None:
                    raise Problem(404, "order_unknown", "there is no such order")
                if isinstance(decided, Refusal):
                    raise Problem(409, decided, REFUSED_DETAIL[decided])
                answer = Answer(TOLD, msgspec.json.encode(decided))
                await keys.settle(conn, refund_id, answer)
                return answer

        try:
            answer = await repeated(attempt)
        except KeyTaken:
            return await self._told_before(ask, refund_id)
        REFUNDS.labels("requested").inc()
        self._outbox.notify()
        return answer, False

    async def decide(
        self,
        conn: Conn,
        refund_id: str,
        order_id: str,
        wish: Wish,
        *,
        reason: str,
        seats_back: bool,
        job_id: str | None = None,
    ) -> RefundView | Refusal | None:
        """Decides and writes down, in the caller's transaction. None: there is no such order."""
        record = await book.lock(conn, order_id)
        if record is None:
            return None
        order, payment = await refunds.paid_order(conn, record)
        decision = rules.decide(order, wish)
        if isinstance(decision, Refusal):
            return decision
        if payment is None:
            return Refusal.ORDER_NOT_PAID
        await refunds.insert(
            conn,
            record,
            refund_id,
            payment.payment_id,
            decision.parts,
            reason=reason,
            seats_back=seats_back,
            job_id=job_id,
            correlation_id=current_correlation().id,
        )
        ticket_ids = [ticket.ticket_id for ticket in decision.tickets]
        await refunds.void_tickets(conn, refund_id, ticket_ids)
        facts = [Fact(Code.TICKETS_VOIDED, payment.payment_id)]
        if decision.parts.total_minor:
            facts.insert(0, Fact(Code.REFUND_REQUESTED, payment.payment_id, reason))
        await order_rows.write_history(conn, order_id, facts)
        voided = TicketsVoided(
            order_id=order_id,
            refund_id=refund_id,
            ticket_ids=ticket_ids,
            unit_ids=[ticket.unit_id for ticket in decision.tickets],
            seats_back=seats_back,
            reason=reason,
        )
        await self._changes.stage(conn, order_id, [voided])
        known = await refunds.read(conn, refund_id)
        assert known is not None, "it has just been written"
        log.info("refund_requested", order_id=order_id, refund_id=refund_id, job_id=job_id)
        return view_of(known, ticket_ids)

    async def carry_out(self, refund: Refund, *, as_credits: bool = False, expected_minor: int | None = None) -> bool:
        """The money has gone back: by the refund's own parts, or all of it as credits. False: it was over already.
        ``expected_minor``: what the payment's finished refunds had given back when the provider was asked about this
        one; if that is no longer so, its answer is out of date. Raises Problem, Unavailable, Indefinite, LedgerError.
        """

        async def attempt() -> bool:
            async with self._pool.transaction() as conn:
                return await self._carry_out(conn, refund, as_credits, expected_minor)

        with bind_correlation(refund.correlation_id):
            done = await repeated(attempt)
        if done:
            REFUNDS.labels("paid").inc()
        return done

    async def _carry_out(self, conn: Conn, refund: Refund, as_credits: bool, expected_minor: int | None) -> bool:
        record = await book.lock(conn, refund.order_id)
        assert record is not None, "a refund is of an order"
        known = await refunds.of_order(conn, refund.order_id)
        if not any((one.refund_id, one.state) == (refund.refund_id, refund.state) for one in known):
            return False
        if expected_minor is not None and not refund_work.undisturbed(known, refund.payment_id, expected_minor):
            raise Problem(409, "refund_in_progress", "another refund of this payment is under way", retry_after_s=5)
        parts = Parts(0, refund.amount_minor) if as_credits else refund.parts
        if not await refunds.finish(conn, refund, parts):
            return False
        await self._book(conn, record, refund, parts)
        order, _ = await refunds.paid_order(conn, record)
        done = [one for one in await refunds.of_order(conn, refund.order_id) if one.state == REFUNDED]
        refunded = sum((one.parts for one in done), NOTHING)
        state = rules.state_after(order.captured, refunded, ticket_left=bool(order.good))
        await refunds.save_order(conn, record, state)
        complete = state is OrderState.REFUNDED
        facts = [Fact(Code.ORDER_REFUNDED if complete else Code.ORDER_PARTIALLY_REFUNDED, refund.payment_id)]
        if refund.amount_minor:
            facts.insert(0, Fact(Code.REFUND_PAID, refund.payment_id, "as_credits" if as_credits else None))
        await order_rows.write_history(conn, refund.order_id, facts)
        told = OrderRefunded(
            order_id=refund.order_id,
            refund_id=refund.refund_id,
            amount_minor=parts.total_minor,
            credits_minor=parts.credits_minor,
            refunded_minor=refunded.total_minor,
            currency=refund.currency,
            complete=complete,
            reason=refund.reason,
        )
        await self._changes.stage(conn, refund.order_id, [told])
        log.info("refund_paid", order_id=refund.order_id, refund_id=refund.refund_id, as_credits=as_credits)
        return True

    @staticmethod
    async def _book(conn: Conn, record: book.Record, refund: Refund, parts: Parts) -> None:
        entries = []
        if parts.card_minor:
            provider = record.providers[refund.payment_id]
            entries.append(card_entry(record.purchase, refund.refund_id, provider, parts.card_minor))
        if parts.credits_minor:
            entries.append(credits_entry(record.purchase, refund.refund_id, parts.credits_minor))
        if entries:
            await ledger.record(conn, entries)

    async def refuse(self, refund: Refund, detail: str) -> None:
        """The provider will never do it: the money is still owed, and a person decides."""

        async def attempt() -> bool:
            async with self._pool.transaction() as conn:
                if await book.lock(conn, refund.order_id) is None or not await refunds.refuse(conn, refund, detail):
                    return False
                await order_rows.write_history(conn, refund.order_id, [Fact(Code.REFUND_REFUSED, refund.payment_id)])
                return True

        if await repeated(attempt):
            REFUNDS.labels("refused").inc()
            log.error("refund_refused", order_id=refund.order_id, refund_id=refund.refund_id, detail=detail)

    async def _told_before(self, ask: Ask, refund_id: str) -> tuple[Answer, bool]:
        async with self._pool.acquire() as conn:
            claimed = await keys.find(conn, ask.scope, ask.key)
        if claimed is None or claimed.answer is None:  # whoever had it was refused meanwhile
            raise Problem(409, "refund_in_progress", "another request with this key is under way", retry_after_s=1)
        if claimed.fingerprint != ask.fingerprint:
            raise Problem(422, "idempotency_mismatch", "this Idempotency-Key was used for another request")
        return claimed.answer, claimed.payment_id != refund_id
