"""A round's outcome for people and for programs. Pure. The shape for programs is documented in docs/money.md."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from audit.money.kinds import KINDS
from audit.money.repairs import Repaired
from audit.money.round import Outcome
from audit.money.sides import Difference
from audit.money.totals import EventTotals
from ticketflow.currencies import EXPONENTS, text_of


def lines(outcome: Outcome, repaired: Sequence[Repaired] | None) -> list[str]:
    """``repaired`` is None when nobody asked for repairs."""
    text = [
        f"money: {outcome.sales} sales, {outcome.asked} questions to the provider, {outcome.seconds:.1f} s",
        *(line for event in outcome.events for line in _event(event)),
    ]
    text += [f"could not be looked at: {_plain(away)}" for away in outcome.away]
    became = {one.difference.key: one for one in repaired or ()}
    told: set[str] = set()
    for one in outcome.differences:
        text.append(f"{one.kind}: {_subject(one)}{': ' if one.detail else ''}{_plain(one.detail)}")
        done = became.get(one.key)
        if done is not None:
            text.append(f"    {SAID[done.became]}: {_plain(done.said)}")
        elif one.kind not in told:  # once for each kind: there may be thousands
            told.add(one.kind)
            text.append(f"    {'a person' if KINDS[one.kind].by == 'person' else 'repair'}: {KINDS[one.kind].repair}")
    more = sum(outcome.counts.values()) - len(outcome.differences)
    text += [f"and {more} more"] if more else []
    text += [f"{kind}: {count}" for kind, count in sorted(outcome.counts.items())] if len(outcome.counts) > 1 else []
    return [*text, _verdict(outcome)]


SAID = {
    "would": "would be done with --yes",
    "done": "done",
    "gone": "nothing to do",
    "refused": "not done",
    "unknown": "not known",
    "person": "for a person",
}


def as_dict(outcome: Outcome, repaired: Sequence[Repaired] | None) -> dict[str, Any]:
    became = {one.difference.key: one for one in repaired or ()}
    return {
        "clean": outcome.clean,
        "away": list(outcome.away),
        "sales": outcome.sales,
        "asked": outcome.asked,
        "seconds": round(outcome.seconds, 3),
        "counts": dict(sorted(outcome.counts.items())),
        "more": sum(outcome.counts.values()) - len(outcome.differences),
        "events": [event.as_dict() for event in outcome.events],
        "differences": [_difference(one, became.get(one.key)) for one in outcome.differences],
    }


def _difference(one: Difference, repaired: Repaired | None) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "event_id": one.event_id,
        "order_id": one.order_id,
        "ids": {what: one.ids_of(what) for what in dict.fromkeys(what for what, _ in one.ids)},
        "detail": one.detail,
        "amount_minor": one.amount_minor,
        "currency": one.currency,
        "by": KINDS[one.kind].by,
        "repair": KINDS[one.kind].repair,
        "became": None if repaired is None else repaired.became,
        "said": None if repaired is None else repaired.said,
    }


def _event(event: EventTotals) -> list[str]:
    money = {
        "captured": event.captured_minor,
        "refunded": event.refunded_minor,
        "good tickets": event.good_minor,
        "owed": event.owed_minor,
        "kept": event.kept_minor,
        "fees": event.fees_minor,
    }
    shown = ", ".join(f"{what} {amount(minor, event.currency)}" for what, minor in money.items())
    ledger = {"sales": event.ledger_sales_minor, "refunds": event.ledger_refunds_minor}
    at_provider = {"captured": event.at_provider_captured_minor, "refunded": event.at_provider_refunded_minor}
    asked = ", ".join(f"{what} {amount(minor, event.currency)}" for what, minor in at_provider.items())
    return [
        f"event {event.event_id}",
        f"  seats     {_counts(event.seats)}",
        f"  orders    {_counts(event.orders)}; {event.in_flight} have just changed",
        f"  tickets   {event.tickets_good} good, {event.tickets_void} void",
        f"  money     {shown}",
        f"            captured - refunded = good tickets + owed + kept: {'yes' if event.identity else 'NO'}",
        f"  ledger    {', '.join(f'{what} {amount(minor, event.currency)}' for what, minor in ledger.items())}",
        f"  provider  {asked} of {event.asked} payments asked about",
    ]


def amount(minor: int, currency: str) -> str:
    """As people write it: 12.50 EUR; in minor units where the currency is not known."""
    return text_of(minor, currency) if currency in EXPONENTS else f"{minor} {currency}"


def _counts(counts: Any) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(Counter(counts).items())) or "none"


def _subject(one: Difference) -> str:
    parts = [f"order {one.order_id}"] if one.order_id else []
    for what in dict.fromkeys(what for what, _ in one.ids):
        parts.append(f"{what} {' '.join(one.ids_of(what))}")
    if one.amount_minor is not None and one.currency is not None:
        parts.append(f"{amount(one.amount_minor, one.currency)}")
    return _plain(", ".join(parts))


def _verdict(outcome: Outcome) -> str:
    count = sum(outcome.counts.values())
    if count:
        return f"{count} difference{'s' if count != 1 else ''}"
    return "not everything could be looked at" if outcome.away else "seats = orders = ledger = provider = portal"


def _plain(text: str) -> str:
    """One line, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
