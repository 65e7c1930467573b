"""Which mails a sale is worth. Pure: the sale as it is known now, and the time, go in.

Laws of this file:
- What has come decides, not what came last: every order of the same events ends with the buyer told the same.
- One mail for each thing told (``about``): the sale's good or bad end, and each refund. Its id follows from that, so
  that a mail that must be sent twice, after a crash or a restore, is the same mail to whoever receives it.
- News has an age. What is older is not news: a portal that is filled anew from billing's events tells nobody.
"""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid5

from portal.sale import Sale

MailKind = Literal["confirmed", "failed", "voided", "refunded"]
NEWS_US = 3 * 24 * 3600 * 1_000_000  # an outage that long is told of late; longer ones are a matter for people
_IDS = UUID("5ad0cf3e-7a51-4d0c-9f6e-3a1d1d2f4f10")
WORTH_A_LOOK = frozenset({"FAILED", "CONFIRMED", "PARTIALLY_REFUNDED", "REFUNDED"})


@dataclass(frozen=True)
class Mail:
    """``about``: the refund's id, or the order's."""

    order_id: str
    kind: MailKind
    about: str
    buyer_id: str

    @property
    def mail_id(self) -> str:
        return str(uuid5(_IDS, f"{self.order_id} {self.kind} {self.about}"))


def wanted(sale: Sale, now_us: int) -> list[Mail]:
    """What the buyer is to be told of this sale by mail; what has been told already is among it."""
    return [] if sale.updated_at_us < now_us - NEWS_US else told(sale)


def told(sale: Sale) -> list[Mail]:
    """The same, however old."""
    if sale.buyer_id is None:
        return []
    return [Mail(sale.order_id, kind, about, sale.buyer_id) for kind, about in _told(sale)]


def _told(sale: Sale) -> list[tuple[MailKind, str]]:
    if sale.state == "FAILED":  # of an end without money the buyer knows: he did not pay
        return [("failed", sale.order_id)] if sale.authorized_at_us is not None else []
    found: list[tuple[MailKind, str]] = []
    for refund_id, refund in sorted(sale.refunds.items()):
        if refund.done_at_us is not None:
            found.append(("refunded", refund_id))
        elif refund.requested_at_us is not None:
            found.append(("voided", refund_id))
    if not found and sale.state == "CONFIRMED" and sale.tickets:
        found.append(("confirmed", sale.order_id))
    return found
