"""The rules of giving back: who wishes what for a paid order, and what is then given back for which tickets. Pure.

Laws:
- A refund is of tickets that are good: it voids them, and no ticket is refunded twice. With it goes their prices' sum,
  or less where a fee is kept; so all refunds of an order together are never more than it has brought.
- What has been decided counts as given back, whether or not the provider has carried it out yet: refunds that are
  under way, and those that it refused, are still owed.
- The card gets its part first (refund_split.py), whatever became of earlier refunds.
- A free order can be refunded too: its tickets die, and no money moves.
"""

from dataclasses import dataclass
from enum import StrEnum

from billing.orders.states import PAID, OrderState
from billing.refunds.split import NOTHING, Parts, split


class Refusal(StrEnum):
    """Why nothing is given back. The values are the problem codes of the API."""

    ORDER_NOT_PAID = "order_not_paid"
    TICKET_UNKNOWN = "ticket_unknown"
    TICKET_VOIDED = "ticket_voided"
    NOTHING_LEFT = "nothing_left"
    REFUND_TOO_LARGE = "refund_too_large"


@dataclass(frozen=True)
class PaidTicket:
    ticket_id: str
    unit_id: str
    price_minor: int
    voided: bool = False


@dataclass(frozen=True)
class PaidOrder:
    """``captured``: what its payment has brought. ``requested``: what all its refunds so far give back."""

    state: OrderState
    captured: Parts
    tickets: tuple[PaidTicket, ...]
    requested: Parts = NOTHING

    @property
    def good(self) -> tuple[PaidTicket, ...]:
        return tuple(ticket for ticket in self.tickets if not ticket.voided)

    @property
    def left_minor(self) -> int:
        """What has not been given back."""
        return self.captured.total_minor - self.requested.total_minor


@dataclass(frozen=True)
class Wish:
    """``tickets`` None: all that are good. ``amount_minor`` None: what they cost; less keeps a fee, 0 keeps it all."""

    tickets: tuple[str, ...] | None = None
    amount_minor: int | None = None


@dataclass(frozen=True)
class Decision:
    """These tickets die, and this goes back."""

    tickets: tuple[PaidTicket, ...]
    parts: Parts


def decide(order: PaidOrder, wish: Wish) -> Decision | Refusal:
    if order.state not in PAID:
        return Refusal.ORDER_NOT_PAID
    tickets = order.good if wish.tickets is None else _named(order, wish.tickets)
    if isinstance(tickets, Refusal):
        return tickets
    if not tickets:
        return Refusal.NOTHING_LEFT
    worth_minor = sum(ticket.price_minor for ticket in tickets)
    amount_minor = worth_minor if wish.amount_minor is None else wish.amount_minor
    if not 0 <= amount_minor <= min(worth_minor, order.left_minor):
        return Refusal.REFUND_TOO_LARGE
    return Decision(tickets, split(amount_minor, order.captured, order.requested) if amount_minor else NOTHING)


def state_after(captured: Parts, refunded: Parts, *, ticket_left: bool) -> OrderState:
    """Of an order whose refund has just been carried out. ``refunded``: by all that have been carried out."""
    if refunded.total_minor == captured.total_minor and not ticket_left:
        return OrderState.REFUNDED
    return OrderState.PARTIALLY_REFUNDED


def _named(order: PaidOrder, ticket_ids: tuple[str, ...]) -> tuple[PaidTicket, ...] | Refusal:
    """Those tickets, each once."""
    known = {ticket.ticket_id: ticket for ticket in order.tickets}
    wanted = dict.fromkeys(ticket_ids)
    if not wanted.keys() <= known.keys():
        return Refusal.TICKET_UNKNOWN
    tickets = tuple(known[ticket_id] for ticket_id in wanted)
    if any(ticket.voided for ticket in tickets):
        return Refusal.TICKET_VOIDED
    return tickets
