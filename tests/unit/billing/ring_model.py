"""The other parties of a sale, as small as they can be: a provider, reservation, and the unreliable way between.

The actions are what can happen at any moment, crashes included; each takes a number to choose by. Events travel in
order, and any that has been delivered may be delivered again. Payments are by card, by credits, by both, or on a page
of the provider's; what the product would write into its ledger is summed up here.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from billing.ledger.accounts import clearing, frozen, sales, wallet
from billing.ledger.bookkeeping import entries_of
from billing.ledger.causes import Purchase
from billing.ledger.entries import Cause, Entry
from billing.orders import rules as orders
from billing.orders.rules import SEATS_SOLD_REASONS, Code, Decision, Fact, Order, Payment
from billing.orders.states import OrderState, PaymentState
from ticketflow.events import EndReason

TOTAL = 4200
CREDITS_PART = 1200  # of a mixed payment
PURCHASE = Purchase("order-1", "01a1ff66-ba5f-72c2-bc9d-8a950062795e", "buyer-1", "EUR")
WALLET, FROZEN = wallet("buyer-1"), frozen("buyer-1")
SALES, CLEARING = sales(PURCHASE.event_id), clearing("sandbox")

Deliver = Callable[[Order], Decision]


@dataclass
class Model:
    order: Order = field(default_factory=lambda: Order(TOTAL))
    facts: list[Fact] = field(default_factory=list)
    time_left: bool = True
    hold: str = "HELD"  # HELD, RELEASED, EXPIRED, SOLD
    seats_free: bool = True  # of an expired hold
    sold_to: str | None = None
    at_provider: dict[str, str] = field(default_factory=dict)  # payment -> authorized | captured | voided
    queue: list[Deliver] = field(default_factory=list)
    delivered: list[Deliver] = field(default_factory=list)
    answers: dict[str, Deliver] = field(default_factory=dict)  # reservation's one answer to each payment
    payments: int = 0
    ledger: Counter[str] = field(default_factory=Counter)  # account -> sum of the postings
    causes: list[tuple[Cause, str]] = field(default_factory=list)

    # -- what can happen

    def start(self, n: int) -> None:
        """By card, by both, by credits, or on the provider's page; the last gives way to any other."""
        payment_id = f"p{self.payments + 1}"
        decision = orders.start_payment(
            self.order,
            payment_id,
            in_time=self.time_left,
            credits_minor=(0, 0, CREDITS_PART, TOTAL, 0, CREDITS_PART)[n % 6],
            redirect=n % 6 >= 4,
        )
        if isinstance(decision, Decision):
            self.payments += 1
            self._take(decision)

    def provider_answers(self, n: int) -> None:
        for payment in self._in(PaymentState.STARTED):
            if payment.payment_id in self.at_provider:
                self._take(orders.authorized(self.order, payment.payment_id))
            elif n % 4 == 0:
                self._take(orders.declined(self.order, payment.payment_id, "no"))
            elif n % 4 == 1:
                self._take(orders.not_charged(self.order, payment.payment_id, "down"))
            else:
                self.at_provider[payment.payment_id] = "authorized"
                if n % 4 == 2:  # else the answer is lost
                    self._take(orders.authorized(self.order, payment.payment_id))

    def give_up(self, _n: int) -> None:
        """The resolver finds nothing at the provider ..."""
        for payment in self._in(PaymentState.STARTED):
            if payment.payment_id not in self.at_provider:
                self._take(orders.not_charged(self.order, payment.payment_id, "abandoned"))

    def late_charge(self, n: int) -> None:
        """... and the request arrives there after all."""
        given_up = [p for p in self._in(PaymentState.FAILED) if p.payment_id not in self.at_provider and p.card_minor]
        if given_up:
            payment_id = given_up[n % len(given_up)].payment_id
            self.at_provider[payment_id] = "authorized"
            self._take(orders.authorized(self.order, payment_id))

    def settle(self, _n: int) -> None:
        for payment in self._in(PaymentState.AUTHORIZED):
            if payment.payment_id not in self.answers:
                self.answers[payment.payment_id] = self._reservation_decides(payment.payment_id)
                self.queue.append(self.answers[payment.payment_id])

    def time_over(self, _n: int) -> None:
        self.time_left = False

    def release(self, _n: int) -> None:
        if self.hold == "HELD":
            self.hold = "RELEASED"
            self.queue.append(lambda order: orders.hold_ended(order, "released"))

    def expire(self, n: int) -> None:
        if self.hold == "HELD" and not self.time_left:
            self.hold, self.seats_free = "EXPIRED", n % 2 == 0
            self.queue.append(lambda order: orders.hold_ended(order, "expired"))

    def deliver(self, _n: int) -> None:
        if self.queue:
            event = self.queue.pop(0)
            self.delivered.append(event)
            self._take(event(self.order))

    def deliver_again(self, n: int) -> None:
        if self.delivered:
            self._take(self.delivered[n % len(self.delivered)](self.order))

    def capture(self, n: int) -> None:
        for payment in self._in(PaymentState.SETTLED):
            if payment.card_minor == 0:
                self._take(orders.captured(self.order, payment.payment_id))
                continue
            if n % 7 == 6:
                self._take(orders.capture_refused(self.order, payment.payment_id, "tickets_failed"))
                continue
            if self.at_provider.get(payment.payment_id) not in ("authorized", "captured"):
                self._take(orders.capture_refused(self.order, payment.payment_id))
                continue
            self.at_provider[payment.payment_id] = "captured"
            if n % 3:  # else the worker is killed before it can write it down
                self._take(orders.captured(self.order, payment.payment_id))

    def lapse(self, n: int) -> None:
        """The card's bank lets go of money that was set aside."""
        if n % 2 == 0:
            for payment_id, state in self.at_provider.items():
                if state == "authorized":
                    self.at_provider[payment_id] = "voided"

    def void(self, n: int) -> None:
        for payment in self._in(PaymentState.VOIDING):
            if payment.payment_id in self.at_provider:
                self.at_provider[payment.payment_id] = "voided"
            if n % 3:
                self._take(orders.voided(self.order, payment.payment_id))

    def recheck(self, _n: int) -> None:
        for payment in (*self._in(PaymentState.FAILED), *self._in(PaymentState.VOIDED)):
            if self.at_provider.get(payment.payment_id) == "authorized":
                self.at_provider[payment.payment_id] = "voided"

    # -- to the end

    def come_to_rest(self) -> None:
        """Nobody acts any more, everything under way arrives, the hold ends if it has not been sold."""
        self.time_over(0)
        for _ in range(50):
            self.provider_answers(2) if self.at_provider else self.give_up(0)
            self.give_up(0)
            self.settle(0)
            while self.queue:
                self.deliver(0)
            self.capture(1)
            self.void(1)
            self.recheck(0)
            if not self._in(PaymentState.STARTED) and not self._in(PaymentState.AUTHORIZED):
                self.expire(0)

    @property
    def kept_minor(self) -> int:
        """By the provider."""
        return sum(p.card_minor for p in self.order.payments if self.at_provider.get(p.payment_id) == "captured")

    @property
    def spent_minor(self) -> int:
        """Of the buyer's credits."""
        return self.ledger[str(WALLET)]

    def times(self, code: Code) -> int:
        return [fact.code for fact in self.facts].count(code)

    def _reservation_decides(self, payment_id: str) -> Deliver:
        if self.hold == "SOLD" and self.sold_to == payment_id:
            return lambda order: orders.seats_sold(order, payment_id)
        if self.hold == "HELD" or (self.hold == "EXPIRED" and self.seats_free):
            self.hold, self.sold_to = "SOLD", payment_id
            return lambda order: orders.seats_sold(order, payment_id)
        reason: EndReason = "released" if self.hold == "RELEASED" else "taken"
        return lambda order: orders.seats_lost(order, payment_id, reason)

    def _in(self, state: PaymentState) -> list[Payment]:
        return [payment for payment in self.order.payments if payment.state is state]

    def _take(self, decision: Decision) -> None:
        providers = {payment.payment_id: "sandbox" for payment in decision.order.payments}
        for entry in entries_of(PURCHASE, self.order, decision.order, providers):
            self._book(entry)
        self.order = decision.order
        if any(fact.code is Code.ORDER_FAILED for fact in decision.facts) and self.order.closing in SEATS_SOLD_REASONS:
            self.hold, self.sold_to = "RETURNED", None
        self.facts.extend(decision.facts)
        self._check_always()

    def _book(self, entry: Entry) -> None:
        assert entry.key not in self.causes
        self.causes.append(entry.key)
        for line in entry.lines:
            self.ledger[str(line.account)] += line.amount_minor

    def _check_always(self) -> None:
        assert sum(payment.live for payment in self.order.payments) <= 1
        assert self.order.captured_minor in (0, TOTAL)
        assert (self.order.state is OrderState.CONFIRMED) == (self.order.captured_minor == TOTAL)
        assert self.times(Code.CONTRADICTION) == 0, self.facts
        live = self.order.live_payment
        due_minor = 0 if live is None or live.state is PaymentState.CAPTURED else live.credits_minor
        assert self.ledger[str(FROZEN)] == -due_minor


ACTIONS: dict[str, Callable[[Model, int], None]] = {
    action.__name__: action
    for action in (
        Model.start,
        Model.provider_answers,
        Model.give_up,
        Model.late_charge,
        Model.settle,
        Model.time_over,
        Model.release,
        Model.expire,
        Model.deliver,
        Model.deliver_again,
        Model.capture,
        Model.lapse,
        Model.void,
        Model.recheck,
    )
}
