"""What each store says about one sale. Pure data; amounts in minor units, ages in seconds by the store's own clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Postings = Mapping[str, int]  # by account, summed
Cause = tuple[str, str]  # cause, cause_id

PAID = frozenset({"CONFIRMED", "PARTIALLY_REFUNDED", "REFUNDED"})
OVER = frozenset({"DECLINED", "FAILED", "VOIDED"})  # payments in which no money is to stand


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """A line of a hold, and how its place stands now. ``owner``: the hold that has it."""

    unit_id: str
    price_minor: int
    state: str
    owner: str | None
    can_be_had: bool


@dataclass(frozen=True, slots=True)
class Hold:
    hold_id: str
    event_id: str
    buyer_id: str
    state: str
    payment_id: str | None
    total_minor: int
    currency: str
    age_s: float
    places: tuple[HeldPlace, ...] = ()

    @property
    def sold(self) -> tuple[HeldPlace, ...]:
        return tuple(place for place in self.places if place.state == "sold" and place.owner == self.hold_id)


@dataclass(frozen=True, slots=True)
class Line:
    unit_id: str
    tier: str
    label: str
    price_minor: int


@dataclass(frozen=True, slots=True)
class Payment:
    """``watched``: a worker will look at it again by itself. ``page_left_s``: how long its page still takes money."""

    payment_id: str
    state: str
    amount_minor: int
    credits_minor: int
    provider: str
    authorization_id: str | None
    age_s: float
    started_at_us: int
    watched: bool
    page_left_s: float | None = None

    @property
    def card_minor(self) -> int:
        return self.amount_minor - self.credits_minor

    @property
    def live(self) -> bool:
        return self.state not in OVER


@dataclass(frozen=True, slots=True)
class Ticket:
    ticket_id: str
    unit_id: str
    void: bool
    refund_id: str | None


@dataclass(frozen=True, slots=True)
class Refund:
    refund_id: str
    payment_id: str
    state: str
    card_minor: int
    credits_minor: int
    seats_back: bool
    reason: str
    age_s: float

    @property
    def amount_minor(self) -> int:
        return self.card_minor + self.credits_minor


@dataclass(frozen=True, slots=True)
class Order:
    order_id: str
    event_id: str
    event_name: str
    buyer_id: str
    currency: str
    total_minor: int
    refunds_minor: int
    state: str
    closing: str | None
    age_s: float
    expires_at_us: int
    lines: tuple[Line, ...] = ()
    payments: tuple[Payment, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    refunds: tuple[Refund, ...] = ()
    entries: Mapping[Cause, Postings] = field(default_factory=dict)

    @property
    def good(self) -> tuple[Ticket, ...]:
        return tuple(ticket for ticket in self.tickets if not ticket.void)

    @property
    def captured(self) -> tuple[Payment, ...]:
        return tuple(payment for payment in self.payments if payment.state == "CAPTURED")

    @property
    def paying(self) -> bool:
        """Whether a payment of it is under way."""
        return any(payment.live for payment in self.payments)


@dataclass(frozen=True, slots=True)
class ShownTicket:
    ticket_id: str
    unit_id: str
    void: bool


@dataclass(frozen=True, slots=True)
class Sale:
    """``refunded_minor`` is None of a portal that does not know of refunds, which knows of no void tickets either."""

    order_id: str
    event_id: str | None
    buyer_id: str | None
    state: str
    total_minor: int | None
    refunded_minor: int | None
    age_s: float
    tickets: tuple[ShownTicket, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """An authorisation at the provider."""

    authorization_id: str
    state: str
    captured_minor: int
    refunded_minor: int

    @property
    def kept_minor(self) -> int:
        return self.captured_minor - self.refunded_minor

    @property
    def open(self) -> bool:
        return self.state == "authorized"

    @property
    def has_money(self) -> bool:
        return self.open or self.kept_minor > 0


@dataclass(frozen=True, slots=True)
class Deal:
    """One sale, from all sides. ``at_provider``: by payment; who is not in it was not asked about."""

    order_id: str
    hold: Hold | None = None
    order: Order | None = None
    sale: Sale | None = None
    at_provider: Mapping[str, Sequence[Taken]] = field(default_factory=dict)

    @property
    def event_id(self) -> str | None:
        for side in (self.order, self.hold, self.sale):
            if side is not None and side.event_id is not None:
                return side.event_id
        return None

    @property
    def age_s(self) -> float:
        """Since anything of it has changed anywhere."""
        return min(side.age_s for side in (self.order, self.hold, self.sale) if side is not None)


@dataclass(frozen=True, slots=True)
class Difference:
    """``ids`` name what it is about, as (what, id). Two looks that give the same one have seen it twice."""

    kind: str
    event_id: str | None
    order_id: str | None
    ids: tuple[tuple[str, str], ...]
    detail: str
    amount_minor: int | None = None
    currency: str | None = None

    @property
    def key(self) -> tuple[str, str | None, tuple[tuple[str, str], ...]]:
        return self.kind, self.order_id, self.ids

    def id_of(self, what: str) -> str:
        return next(id_ for name, id_ in self.ids if name == what)

    def ids_of(self, what: str) -> list[str]:
        return [id_ for name, id_ in self.ids if name == what]
