"""Changes of orders: lock, decide, write, book the money, stage the events; in the caller's transaction.

Many orders at once take the same steps, each in a statement for all of them. A decision that finds nothing to change
writes nothing, so a change may be repeated whenever its outcome is not known.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, TypeVar

from billing.ledger.bookkeeping import entries_of
from billing.orders import announce
from billing.orders.answers import answer_for
from billing.orders.rules import Code, Decision, Fact, Order
from billing.orders.states import PaymentState
from billing.store import book, keys, ledger, order_rows
from billing.store.keys import Answer
from billing.store.times import to_us
from ticketflow.delivery.outbox import Outbox
from ticketflow.events import HoldLine, Payload, envelope_for
from ticketflow.runtime.correlation import Correlation, bind_correlation, current_correlation
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import Together
from ticketflow.runtime.retry import retrying

Conn = Any
Decide = Callable[[Order], Decision]
T = TypeVar("T")

log = get_logger("orders")


@dataclass(frozen=True)
class Changed:
    """The order as it stands now; ``moved``: whether this change did anything. ``answer``: what it keeps under the key
    of the payment that it was wanted for; None when that is not certain."""

    order: Order
    moved: bool
    answer: Answer | None = None


@dataclass(frozen=True)
class Wanted:
    """A change of one order of many. ``moved_to``: the places to have from now on, if the decision says that they have
    moved. ``correlation``: under which it is logged, and its events are staged. ``authorization_id``: of
    ``payment_id``, when the provider has just told it. ``recheck``: a payment that failed may yet turn up there."""

    order_id: str
    decide: Decide
    correlation: Correlation
    moved_to: Sequence[HoldLine] = ()
    payment_id: str | None = None
    authorization_id: str | None = None
    recheck: bool = False


@dataclass(frozen=True)
class _Made:
    """A decision that is written down."""

    record: book.Record
    decision: Decision
    correlation: Correlation
    moved_to: Sequence[HoldLine] = ()


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
    ) -> Changed | None:
        """None: there is no such order. Otherwise as ``Wanted`` says, under the correlation that is bound. Raises
        Retryable, LedgerError."""
        wanted = Wanted(order_id, decide, current_correlation(), (), payment_id, authorization_id, recheck)
        return (await self.apply_all(conn, [wanted])).get(order_id)

    async def apply_all(
        self, conn: Conn, wanted: Sequence[Wanted], *, skip_locked: bool = False, defer: bool = False
    ) -> dict[str, Changed]:
        """Changes different orders; those that there are, by id. ``skip_locked``: without those that another
        transaction has locked, as if they were not there. ``defer``: the last writes may go with what the transaction
        asks next; whether an answer is kept is not certain by then. Raises Retryable, LedgerError."""
        records = await book.lock_all(conn, {one.order_id for one in wanted}, skip_locked=skip_locked)
        there = [(one, records[one.order_id]) for one in wanted if one.order_id in records]
        decided = [(one, record, one.decide(record.order)) for one, record in there]
        made = [
            _Made(record, decision, one.correlation, one.moved_to)
            for one, record, decision in decided
            if decision.facts
        ]
        writes = Together(conn)
        await book.save(
            writes,
            [(one.record, one.decision) for one in made],
            authorization_ids={
                one.payment_id: one.authorization_id for one in wanted if one.payment_id and one.authorization_id
            },
            recheck={one.order_id for one in wanted if one.recheck},
        )
        for one, _, decision in decided:
            if not decision.facts and one.payment_id and one.authorization_id:
                await book.note_authorization(writes, one.payment_id, one.authorization_id)
        for moved in made:
            if any(fact.code is Code.SEATS_MOVED for fact in moved.decision.facts):
                await order_rows.replace_lines(writes, moved.record, moved.moved_to)
        kept = await self._follow(conn, writes, made, defer=defer)
        return {
            one.order_id: Changed(decision.order, bool(decision.facts), kept.get(one.payment_id or ""))
            for one, _, decision in decided
        }

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
        writes, bound = Together(conn), current_correlation()
        await book.save(writes, [(record, decision)])
        await book.insert_payment(
            writes,
            record,
            payment,
            method=method,
            provider=provider,
            correlation_id=bound.id,
            traceparent=bound.traceparent,
        )
        await self._follow(conn, writes, [_Made(record, decision, bound)])

    async def nudge(self, conn: Conn, order_id: str, payment_id: str) -> bool:
        """Tells once more that this payment is authorised, if it still waits for reservation's word."""
        record = await book.lock(conn, order_id)
        payment = None if record is None else record.order.payment(payment_id)
        if record is None or payment is None or payment.state is not PaymentState.AUTHORIZED:
            return False
        authorized = Decision(record.order, (Fact(Code.PAYMENT_AUTHORIZED, payment_id),))
        writes = Together(conn)
        await self._announce(conn, writes, [_Made(record, authorized, current_correlation())])
        await writes.send()
        return True

    async def note_all(self, conn: Conn, order_ids: Sequence[str], fact: Fact) -> set[str]:
        """Writes into the histories of different orders what changes nothing, with what is asked next; the ids of those
        that there are."""
        there = await book.lock_all(conn, order_ids)
        writes = Together(conn)
        await order_rows.write_histories(writes, [(order_id, [fact]) for order_id in order_ids if order_id in there])
        writes.defer()
        return set(there)

    async def stage(self, conn: Conn, order_id: str, payloads: Sequence[Payload]) -> None:
        """Under the correlation that is bound."""
        await self.stage_all(conn, [(order_id, payloads, current_correlation())])

    async def stage_all(self, conn: Conn, told: Iterable[tuple[str, Sequence[Payload], Correlation]]) -> None:
        """The events of many orders, in one statement."""
        await self._outbox.stage(
            conn,
            [
                envelope_for(payload, key=order_id, correlation_id=bound.id, traceparent=bound.traceparent)
                for order_id, payloads, bound in told
                for payload in payloads
            ],
        )

    async def _follow(
        self, conn: Conn, writes: Together, made: Sequence[_Made], *, defer: bool = False
    ) -> dict[str, Answer]:
        """What decisions that are written down bring with them, sent with ``writes``; the answers that are kept for
        payments, by id, as far as that is certain. ``defer``: see ``apply_all``."""
        await order_rows.write_histories(writes, [(one.record.order_id, one.decision.facts) for one in made])
        kept = await self._answers(writes, made)
        if any(fact.code is Code.TICKETS_ISSUED for one in made for fact in one.decision.facts):
            await writes.send()  # whose lines are read next may just have moved
        await self._announce(conn, writes, made)
        entries = [
            entry
            for one in made
            for entry in entries_of(one.record.purchase, one.record.order, one.decision.order, one.record.providers)
        ]
        if defer and not entries:
            writes.defer()
        else:
            await writes.send()
            if entries:  # last: what many buyers share is locked for the shortest time
                await ledger.record(conn, entries)
        for one in made:
            _log(one)
        return kept

    async def _announce(self, conn: Conn, writes: Together, made: Sequence[_Made]) -> None:
        issued = [one for one in made if any(fact.code is Code.TICKETS_ISSUED for fact in one.decision.facts)]
        tickets = await order_rows.made_tickets(conn, [one.record.order_id for one in issued])
        await order_rows.insert_tickets(writes, [(one.record, tickets[one.record.order_id]) for one in issued])
        told = []
        for one in made:
            record, decision = one.record, one.decision
            sale = announce.Sale(
                order_id=record.order_id,
                buyer_id=record.buyer_id,
                currency=record.currency,
                total_minor=decision.order.total_minor,
                captured_minor=decision.order.captured_minor,
                closing=decision.order.closing,
                started_at_us=record.started_at_us,
                tickets=tickets.get(record.order_id, ()),
                moved_to=one.moved_to,
            )
            told.append((record.order_id, announce.payloads_of(decision.facts, sale), one.correlation))
        await self.stage_all(writes, told)

    async def _answers(self, writes: Together, made: Sequence[_Made]) -> dict[str, Answer]:
        """Decides what a repeat of the buyer's request will be told, once a payment is no longer STARTED. What is
        returned holds when ``writes`` are sent."""
        answers: dict[str, Answer] = {}
        for one in made:
            for new in one.decision.order.payments:
                old = one.record.order.payment(new.payment_id)
                undecided = old is None or old.state is PaymentState.STARTED
                if not undecided or new.state is PaymentState.STARTED:
                    continue
                if new.state is PaymentState.FAILED:
                    await keys.free(writes, new.payment_id)
                else:
                    answers[new.payment_id] = answer_for(one.record, new, one.decision)
        kept: dict[str, Answer] = {}
        if answers:
            all_kept = lambda result: kept.update(answers if result.affected == len(answers) else {})  # noqa: E731
            await keys.settle_all(writes, answers, check=all_kept)
        return kept


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


def _log(made: _Made) -> None:
    with bind_correlation(made.correlation.id, made.correlation.traceparent):
        for fact in made.decision.facts:
            level = log.error if fact.code is Code.CONTRADICTION else log.info
            level(fact.code, order_id=made.record.order_id, payment_id=fact.payment_id, reason=fact.reason)
