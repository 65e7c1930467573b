"""Events of one sale, as billing sends them."""

import time

from ticketflow.events import (
    EndReason,
    Envelope,
    HoldLine,
    OrderConfirmed,
    OrderFailed,
    OrderMoved,
    OrderPending,
    OrderRefunded,
    Payload,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    Ticket,
    TicketIssued,
    TicketsVoided,
    envelope_for,
    new_id,
)

NOON_US = 1_795_000_000_000_000


class SaleEvents:
    """Each method makes one event of the sale, a second after the one before; ``now``: of today."""

    def __init__(self, buyer_id: str = "ann", places: int = 2, *, now: bool = False) -> None:
        self.order_id = new_id()
        self.event_id = new_id()
        self.payment_id = new_id()
        self.buyer_id = buyer_id
        self.event_name = "Aida"
        self.units = [new_id() for _ in range(places)]
        self.tickets = [
            Ticket(ticket_id=new_id(), unit_id=unit, tier="stalls", label=f"A-{n}")
            for n, unit in enumerate(self.units, start=1)
        ]
        self._now_us = time.time_ns() // 1000 if now else NOON_US

    def wait(self, seconds: int) -> None:
        """Time passes before the next event."""
        self._now_us += seconds * 1_000_000

    def _event(self, payload: Payload) -> Envelope:
        self._now_us += 1_000_000
        return envelope_for(payload, key=self.order_id, correlation_id=f"walk-{self.buyer_id}", now_us=self._now_us)

    def pending(self) -> Envelope:
        lines = [
            HoldLine(unit_id=unit, tier="stalls", label=f"A-{n}", price_minor=1250)
            for n, unit in enumerate(self.units, start=1)
        ]
        return self._event(
            OrderPending(
                order_id=self.order_id,
                event_id=self.event_id,
                event_name=self.event_name,
                buyer_id=self.buyer_id,
                currency="EUR",
                total_minor=1250 * len(lines),
                lines=lines,
                expires_at_us=NOON_US + 300_000_000,
            )
        )

    def authorized(self) -> Envelope:
        return self._event(
            PaymentAuthorized(
                order_id=self.order_id,
                payment_id=self.payment_id,
                buyer_id=self.buyer_id,
                amount_minor=1250 * len(self.units),
                currency="EUR",
                started_at_us=NOON_US,
            )
        )

    def declined(self) -> Envelope:
        return self._event(PaymentDeclined(order_id=self.order_id, payment_id=new_id(), reason="insufficient"))

    def voided(self) -> Envelope:
        return self._event(PaymentVoided(order_id=self.order_id, payment_id=self.payment_id, reason="taken"))

    def issued(self) -> Envelope:
        return self._event(TicketIssued(order_id=self.order_id, buyer_id=self.buyer_id, tickets=self.tickets))

    def confirmed(self) -> Envelope:
        return self._event(
            OrderConfirmed(
                order_id=self.order_id,
                payment_id=self.payment_id,
                captured_minor=1250 * len(self.units),
                currency="EUR",
            )
        )

    def failed(self, reason: EndReason = "expired", return_id: str | None = None) -> Envelope:
        return self._event(OrderFailed(order_id=self.order_id, reason=reason, return_id=return_id))

    def moved(self) -> Envelope:
        """To as many places further back."""
        lines = [
            HoldLine(unit_id=new_id(), tier="stalls", label=f"K-{n}", price_minor=1250)
            for n in range(1, len(self.units) + 1)
        ]
        self.tickets = [
            Ticket(ticket_id=new_id(), unit_id=line.unit_id, tier=line.tier, label=line.label) for line in lines
        ]
        return self._event(OrderMoved(order_id=self.order_id, lines=lines))

    def tickets_voided(self, refund_id: str, *numbers: int, seats_back: bool = False) -> Envelope:
        """Those tickets, counted from 0; all of them when none is said."""
        gone = [self.tickets[number] for number in numbers] or self.tickets
        return self._event(
            TicketsVoided(
                order_id=self.order_id,
                refund_id=refund_id,
                ticket_ids=[ticket.ticket_id for ticket in gone],
                unit_ids=[ticket.unit_id for ticket in gone],
                seats_back=seats_back,
                reason="the singer is ill",
            )
        )

    def refunded(
        self, refund_id: str, amount_minor: int = 1250, total_minor: int = 1250, *, credits_minor: int = 0
    ) -> Envelope:
        """``total_minor``: of the order in all; complete when it is all of it."""
        return self._event(
            OrderRefunded(
                order_id=self.order_id,
                refund_id=refund_id,
                amount_minor=amount_minor,
                credits_minor=credits_minor,
                refunded_minor=total_minor,
                currency="EUR",
                complete=total_minor == 1250 * len(self.units),
                reason="the singer is ill",
            )
        )

    def sold_late(self, *, moved: bool = False) -> list[Envelope]:
        """The money comes after the time to pay; the places are still free, or there are others."""
        pending = self.pending()
        self.wait(400)
        return [pending, self.authorized(), *([self.moved()] if moved else []), self.issued(), self.confirmed()]

    def lost_late(self) -> list[Envelope]:
        """The same, and there are none."""
        pending = self.pending()
        self.wait(400)
        return [pending, self.authorized(), self.voided(), self.failed("taken")]

    def sold(self) -> list[Envelope]:
        """A sale that goes well."""
        return [self.pending(), self.authorized(), self.issued(), self.confirmed()]
