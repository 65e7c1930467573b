"""A sale as far as it is known: what the fold of its events gives (see portal/projection.py)."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ticketflow.events import Ticket

# PAYING: the money is set aside and reservation has been asked. FAILED is below CONFIRMED: money that was taken and
# tickets that were issued are what counts for the buyer, whatever else was said. REFUNDED: nothing of it is kept.
RANKS = {"PENDING": 0, "PAYING": 1, "FAILED": 2, "CONFIRMED": 3, "PARTIALLY_REFUNDED": 4, "REFUNDED": 5}
FIRST_STATE = "PENDING"


class Place(NamedTuple):
    """What a buyer chose, or got instead."""

    label: str
    tier: str
    unit_id: str


class Entry(NamedTuple):
    """One line of the history that the buyer sees; ``code`` is the event's kind."""

    at_us: int
    code: str
    reason: str | None


class Refund(msgspec.Struct, frozen=True):
    """Money on its way back, or back when ``done_at_us`` is known; None where the event has not come yet."""

    requested_at_us: int | None = None  # its tickets are void since then
    done_at_us: int | None = None
    amount_minor: int | None = None
    credits_minor: int | None = None  # of it, as credits
    reason: str | None = None  # in the words of whoever decided it


class Sale(msgspec.Struct, frozen=True):
    """What is known of one sale; None where the event that says it has not come yet."""

    order_id: str
    state: str = FIRST_STATE
    buyer_id: str | None = None
    event_id: str | None = None
    event_name: str | None = None
    currency: str | None = None
    total_minor: int | None = None
    expires_at_us: int | None = None
    payment_id: str | None = None  # of the payment that confirmed it
    reason: str | None = None  # of a FAILED one
    authorized_at_us: int | None = None  # when money was first set aside
    refunded_minor: int = 0  # of the sale in all
    held: tuple[Place, ...] | None = None  # as chosen
    moved_to: tuple[Place, ...] | None = None  # what it has instead, when the money came late
    updated_at_us: int = 0
    tickets: Mapping[str, Ticket] = msgspec.field(default_factory=dict)  # by ticket id
    voided: Mapping[str, str] = msgspec.field(default_factory=dict)  # the refund's id by ticket id
    refunds: Mapping[str, Refund] = msgspec.field(default_factory=dict)  # by refund id
    history: Mapping[str, Entry] = msgspec.field(default_factory=dict)  # by the event's id

    @property
    def good(self) -> list[Ticket]:
        """The tickets that admit somebody."""
        return [ticket for id_, ticket in self.tickets.items() if id_ not in self.voided]
