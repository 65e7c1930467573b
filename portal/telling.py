"""What a sale's page and the mails say: the sale as it is known now, in plain words. Pure: the time comes in.

Amounts are in the words of ticketflow.currencies; nothing here is HTML. Everything is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from portal import words
from portal.phrases import moment, money, place_name, short
from portal.sale import Place, Refund, Sale

WALK_MAX = 40  # steps shown, the newest
TICKETS_MAX = 60  # shown; a hold has 50 places at most
REFUNDS_MAX = 60

Tone = Literal["waiting", "good", "bad", "back"]


@dataclass(frozen=True)
class Ticket:
    place: str
    ticket_id: str
    void: bool


@dataclass(frozen=True)
class Back:
    """Money that went back, or will: in a sentence, and what belongs to it."""

    text: str
    details: Sequence[str]


@dataclass(frozen=True)
class Story:
    """``lines``: what the headline means. ``places``: those kept, while there are no tickets. ``instead``: places
    chosen, places got. ``walk``: (time, what happened)."""

    name: str
    headline: str
    tone: Tone
    lines: Sequence[str]
    amount: str | None
    places: Sequence[str]
    instead: tuple[Sequence[str], Sequence[str]] | None
    tickets: Sequence[Ticket]
    refunds: Sequence[Back]
    walk: Sequence[tuple[int, str]]
    left_out: int  # older steps that are not among them
    again_s: int | None  # when to look again; None: nothing more happens by itself


def story_of(sale: Sale, now_us: int) -> Story:
    headline, tone, lines = _standing(sale, now_us)
    walk = _walk(sale)
    return Story(
        name=short(sale.event_name) or "Your order",
        headline=headline,
        tone=tone,
        lines=lines,
        amount=_amount(sale),
        places=[] if sale.tickets or sale.state == "FAILED" else _labels(sale.moved_to or sale.held or ()),
        instead=_instead(sale),
        tickets=[
            Ticket(place_name(ticket.label, ticket.tier), ticket.ticket_id, ticket.ticket_id in sale.voided)
            for ticket in list(sale.tickets.values())[:TICKETS_MAX]
        ],
        refunds=[_refund(sale, id_, refund) for id_, refund in list(sale.refunds.items())[:REFUNDS_MAX]],
        walk=walk[-WALK_MAX:],
        left_out=max(0, len(walk) - WALK_MAX),
        again_s=_again_s(sale),
    )


def _standing(sale: Sale, now_us: int) -> tuple[str, Tone, list[str]]:
    match sale.state:
        case "PENDING":
            return _pending(sale, now_us)
        case "PAYING":
            lines = ["Your payment has arrived. The money is kept only when the places are yours."]
            if came_late(sale):
                lines.append(
                    "Your payment came when the time to pay was over. We see whether there are places for you."
                )
            return "Your payment is being completed", "waiting", [*lines, "This takes some seconds."]
        case "FAILED":
            return _failed(sale)
        case "REFUNDED":
            return "Your order was refunded", "back", ["All of your money went back, and the tickets are void."]
        case "PARTIALLY_REFUNDED" if not sale.good:
            return "Your order was refunded", "back", ["Your tickets are void.", *_late(sale)]
        case "PARTIALLY_REFUNDED":
            good = "Tickets that are not marked as void are good."
            return "A part of your order was refunded", "good", [good, *_late(sale)]
        case _:
            return _confirmed(sale)


def _pending(sale: Sale, now_us: int) -> tuple[str, Tone, list[str]]:
    if sale.expires_at_us is None:
        return "We have heard of your order", "waiting", ["Its details are still on the way. Look again in a moment."]
    until = moment(sale.expires_at_us)
    if now_us < sale.expires_at_us:
        lines = [f"Your places are kept for you until {until}.", "Nothing has been charged so far."]
        if any(entry.code == "payment.declined" for entry in sale.history.values()):
            lines.append("A payment was declined. You can try again, with another card if you like.")
        return "Waiting for your payment", "waiting", lines
    lines = [f"The time to pay was over at {until}.", "If you have paid, this page will say what became of it."]
    return "The time to pay is over", "waiting", lines


def _failed(sale: Sale) -> tuple[str, Tone, list[str]]:
    lines = [words.ending(sale.reason)]
    if sale.authorized_at_us is None:
        return "This order has ended", "bad", [*lines, "Nothing was charged."]
    if sale.reason in ("expired", "taken"):  # of an order to which money came
        lines = ["Your payment came late, and there were no places left for you to have."]
    back = "No money is kept: what was set aside, or taken, is yours again."
    return "There are no tickets, and your money is yours again", "back", [*lines, back]


def _confirmed(sale: Sale) -> tuple[str, Tone, list[str]]:
    if sale.tickets and not sale.good:
        return "Your tickets are void", "back", ["They admit nobody any more. Your money is on its way back."]
    lines = _late(sale)
    if not sale.tickets:
        lines.append("Your tickets follow in a moment.")
    if sale.voided:
        lines.append("Some of them are void; their money is on its way back.")
    headline = "The places are yours" if not sale.tickets else "Here are your tickets"
    return headline, "good", lines or ["Everything is paid. There is nothing more to do."]


def _late(sale: Sale) -> list[str]:
    """How a payment that came late went well all the same."""
    if sale.moved_to is not None:
        return [
            "Your payment came late, and your places had gone to somebody else.",
            "As you had agreed, you have other places of the same price tier instead, at the same price.",
        ]
    if came_late(sale):
        return ["Your payment came when the time to pay was over. Your places were still free: you have them."]
    return []


def came_late(sale: Sale) -> bool:
    """Whether money was first set aside after the time to pay."""
    if sale.authorized_at_us is None or sale.expires_at_us is None:
        return sale.moved_to is not None
    return sale.moved_to is not None or sale.authorized_at_us > sale.expires_at_us


def _again_s(sale: Sale) -> int | None:
    if sale.state == "PENDING":
        return 15
    if sale.state == "PAYING" or (sale.state == "CONFIRMED" and not sale.tickets):
        return 5
    return 60 if any(refund.done_at_us is None for refund in sale.refunds.values()) else None


def _instead(sale: Sale) -> tuple[Sequence[str], Sequence[str]] | None:
    if sale.moved_to is None or sale.state == "FAILED":
        return None
    return _labels(sale.held or ()), _labels(sale.moved_to)


def _amount(sale: Sale) -> str | None:
    if sale.total_minor is None or sale.state == "FAILED":
        return None
    price = f"Price: {money(sale.total_minor, sale.currency)}"
    return f"{price}, of which refunded: {money(sale.refunded_minor, sale.currency)}" if sale.refunded_minor else price


def _refund(sale: Sale, refund_id: str, refund: Refund) -> Back:
    void = [place_name(t.label, t.tier) for id_, t in sale.tickets.items() if sale.voided.get(id_) == refund_id]
    details = []
    if refund.requested_at_us is not None:
        details.append(f"Decided: {moment(refund.requested_at_us)}")
    if refund.done_at_us is not None:
        details.append(f"Done: {moment(refund.done_at_us)}")
    if void:
        details.append(f"Void: {', '.join(void[:TICKETS_MAX])}")
    if refund.reason:
        details.append(f"Reason: {short(refund.reason)}")
    return Back(_way_back(refund, sale.currency), details)


def _way_back(refund: Refund, currency: str | None) -> str:
    if refund.done_at_us is None or refund.amount_minor is None:
        return "Your money is on its way back."
    as_credits = refund.credits_minor or 0
    as_paid = refund.amount_minor - as_credits
    if as_credits and as_paid > 0:
        both = money(as_paid, currency), money(as_credits, currency)
        return f"{both[0]} went back the way you paid, and {both[1]} as credits."
    if as_credits:
        return f"{money(as_credits, currency)} went back as credits."
    return f"{money(refund.amount_minor, currency)} went back the way you paid."


def _walk(sale: Sale) -> list[tuple[int, str]]:
    """What happened, the oldest first; what was only said again is not said twice."""
    steps: list[tuple[int, str]] = []
    for _, entry in sorted(sale.history.items(), key=lambda item: (item[1].at_us, item[0])):
        text = words.of(entry.code, short(entry.reason) or None)
        if not steps or steps[-1][1] != text:
            steps.append((entry.at_us, text))
    return steps


def _labels(places: Sequence[Place]) -> list[str]:
    return [place_name(place.label, place.tier) for place in places[:TICKETS_MAX]]
