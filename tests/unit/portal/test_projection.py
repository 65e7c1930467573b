"""The fold: whatever the order and however often, the same sale."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.projection import RANKS, RULES, Entry, Sale, concerns, merge, merge_all, seen
from tests.unit.portal.events import NOON_US, SaleEvents
from ticketflow.events import PAYLOADS, Envelope, HoldPlaced, payload_of


def view_of(envelope: Envelope) -> Sale:
    payload = payload_of(envelope)
    assert payload is not None
    return seen(envelope, payload)


def folded(events: list[Envelope]) -> Sale:
    [sale] = merge_all(map(view_of, events)).values()
    return sale


def test_a_sale_that_goes_well() -> None:
    events = SaleEvents()
    pending, authorized, issued, confirmed = events.sold()

    assert folded([pending]) == Sale(
        order_id=events.order_id,
        state="PENDING",
        buyer_id="ann",
        event_id=events.event_id,
        event_name="Aida",
        currency="EUR",
        total_minor=2500,
        expires_at_us=NOON_US + 300_000_000,
        updated_at_us=NOON_US + 1_000_000,
        history={pending.id: Entry(NOON_US + 1_000_000, "order.pending", None)},
    )
    assert folded([pending, authorized]).state == "PAYING"
    sold = folded([pending, authorized, issued, confirmed])
    assert sold.state == "CONFIRMED"
    assert sold.payment_id == events.payment_id
    assert list(sold.tickets) == [ticket.ticket_id for ticket in events.tickets]
    assert [entry.code for entry in sold.history.values()] == [
        "order.pending",
        "payment.authorized",
        "ticket.issued",
        "order.confirmed",
    ]
    assert sold.updated_at_us == confirmed.occurred_at_us


def test_a_declined_payment_leaves_the_sale_as_it_was() -> None:
    events = SaleEvents()
    pending, declined = events.pending(), events.declined()

    sale = folded([pending, declined])

    assert sale.state == "PENDING"
    assert sale.history[declined.id] == Entry(declined.occurred_at_us, "payment.declined", "insufficient")


def test_a_lost_sale_says_why() -> None:
    events = SaleEvents()

    sale = folded([events.pending(), events.authorized(), events.voided(), events.failed()])

    assert (sale.state, sale.reason) == ("FAILED", "expired")


def test_a_late_beginning_never_takes_the_end_back() -> None:
    events = SaleEvents()
    pending, authorized, issued, confirmed = events.sold()

    sale = folded([confirmed, issued, authorized, pending])

    assert sale.state == "CONFIRMED"
    assert sale.event_name == "Aida"


def test_every_order_of_arrival_gives_the_same_sale() -> None:
    events = SaleEvents()
    arrived = [events.pending(), events.declined(), events.authorized(), events.issued(), events.confirmed()]
    expected = folded(arrived)

    assert all(folded(list(order)) == expected for order in permutations(arrived))


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Envelope], list[Envelope]]:
    """Some events of a sale, and the same ones repeated and out of order."""
    events = SaleEvents()
    makers = [events.pending, events.authorized, events.declined, events.voided]
    makers += [events.issued, events.confirmed, events.failed]
    once = [make() for make in draw(st.lists(st.sampled_from(makers), min_size=1, max_size=8))]
    repeated = once + draw(st.lists(st.sampled_from(once), max_size=8))
    return once, draw(st.permutations(repeated))


@given(arrivals())
def test_repeats_and_disorder_change_nothing(both: tuple[list[Envelope], list[Envelope]]) -> None:
    once, arrived = both

    assert folded(arrived) == folded(once)


@given(arrivals(), st.data())
def test_batches_may_be_cut_anywhere(both: tuple[list[Envelope], list[Envelope]], data: st.DataObject) -> None:
    """What the store does: fold a batch by itself, then join it to what is stored."""
    _, arrived = both
    cut = data.draw(st.integers(0, len(arrived)))
    views = [list(merge_all(map(view_of, part)).values()) for part in (arrived[:cut], arrived[cut:])]

    [sale] = merge_all(views[0] + views[1]).values()

    assert sale == folded(arrived)


@given(arrivals(), arrivals())
def test_merge_has_the_laws_it_claims(
    some: tuple[list[Envelope], list[Envelope]], more: tuple[list[Envelope], list[Envelope]]
) -> None:
    one, two = folded(some[0]), folded(more[0])
    same = replace(two, order_id=one.order_id)

    assert merge(one, one) == one
    assert merge(one, same) == merge(same, one)
    assert merge(merge(one, same), one) == merge(one, same)


def test_sales_are_kept_apart() -> None:
    ann, bob = SaleEvents("ann"), SaleEvents("bob")

    sales = merge_all(map(view_of, [ann.pending(), bob.failed(), ann.authorized()]))

    assert {order: sale.state for order, sale in sales.items()} == {ann.order_id: "PAYING", bob.order_id: "FAILED"}


def test_every_kind_that_billing_announces_has_a_rule() -> None:
    """reservation's kinds and portal's own command do not travel by the queue."""
    others = {kind for kind in PAYLOADS if kind.startswith(("hold.", "sale."))}

    assert {payload.kind for payload in RULES} == set(PAYLOADS) - others


def test_what_says_nothing_to_a_buyer_does_not_concern_us() -> None:
    assert not concerns(None)
    assert HoldPlaced not in RULES


def test_every_state_has_a_rank_of_its_own() -> None:
    assert sorted(RANKS.values()) == [0, 1, 2, 3]
    with pytest.raises(AssertionError):
        merge(Sale(order_id="a"), Sale(order_id="b"))
