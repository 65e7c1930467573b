"""The fold: whatever the order and however often, the same sale."""

from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.projection import RULES, concerns, merge, merge_all
from portal.sale import RANKS, Entry, Place, Refund, Sale
from tests.unit.portal.events import NOON_US, SaleEvents
from tests.unit.portal.folding import folded as fold
from tests.unit.portal.folding import view_of
from ticketflow.events import PAYLOADS, Envelope, HoldPlaced, OrderMoved, new_id, payload_of


def folded(events: list[Envelope]) -> Sale:
    return fold(*events)


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
        held=(Place("A-1", "stalls", events.units[0]), Place("A-2", "stalls", events.units[1])),
        updated_at_us=NOON_US + 1_000_000,
        history={pending.id: Entry(NOON_US + 1_000_000, "order.pending", None)},
    )
    paying = folded([pending, authorized])
    assert (paying.state, paying.authorized_at_us) == ("PAYING", authorized.occurred_at_us)
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


def test_other_places_are_shown_beside_those_that_were_chosen() -> None:
    events = SaleEvents()
    moved = events.moved()
    payload = payload_of(moved)
    assert isinstance(payload, OrderMoved)

    sale = folded([events.issued(), moved, events.pending(), events.confirmed()])

    assert sale.moved_to == tuple(Place(line.label, line.tier, line.unit_id) for line in payload.lines)
    assert sale.held is not None
    assert [place.label for place in sale.held] == ["A-1", "A-2"]
    assert folded([events.pending()]).moved_to is None


def test_a_void_ticket_is_never_good_again() -> None:
    events, refund_id = SaleEvents(), new_id()
    pending, authorized, issued, confirmed = events.sold()
    voided = events.tickets_voided(refund_id, 1)

    for arrived in permutations([pending, authorized, issued, confirmed, voided]):
        sale = folded(list(arrived))
        assert [ticket.label for ticket in sale.good] == ["A-1"]
        assert sale.voided == {events.tickets[1].ticket_id: refund_id}
        assert sale.state == "CONFIRMED", "until the money has gone back"
        assert sale.refunds == {refund_id: Refund(requested_at_us=voided.occurred_at_us, reason="the singer is ill")}


def test_refunds_add_up_to_the_greatest_total() -> None:
    events, first, second = SaleEvents(), new_id(), new_id()
    begun = events.sold()
    one = [events.tickets_voided(first, 0), events.refunded(first)]
    two = [events.tickets_voided(second, 1), events.refunded(second, 1250, 2500, credits_minor=250)]

    partly = folded([one[1], *begun, one[0]])
    assert (partly.state, partly.refunded_minor, len(partly.good)) == ("PARTIALLY_REFUNDED", 1250, 1)

    wholly = folded([two[1], one[1], two[0], *begun, one[0]])
    assert (wholly.state, wholly.refunded_minor, wholly.good) == ("REFUNDED", 2500, [])
    assert wholly.refunds[second] == Refund(
        requested_at_us=two[0].occurred_at_us,
        done_at_us=two[1].occurred_at_us,
        amount_minor=1250,
        credits_minor=250,
        reason="the singer is ill",
    )


def test_a_fee_may_be_kept_and_then_the_sale_is_not_refunded_wholly() -> None:
    events, refund_id = SaleEvents(), new_id()

    sale = folded([*events.sold(), events.tickets_voided(refund_id), events.refunded(refund_id, 2000, 2000)])

    assert (sale.state, sale.refunded_minor, sale.good) == ("PARTIALLY_REFUNDED", 2000, [])


def test_money_counts_from_the_first_time_it_was_set_aside() -> None:
    events = SaleEvents()
    first, again = events.authorized(), events.authorized()

    assert folded([again, first]).authorized_at_us == first.occurred_at_us


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Envelope], list[Envelope]]:
    """Some events of a sale, and the same ones repeated and out of order."""
    events = SaleEvents()
    makers = [events.pending, events.authorized, events.declined, events.voided]
    makers += [events.issued, events.confirmed, events.failed, events.moved]
    first, second = new_id(), new_id()
    makers += [
        lambda: events.tickets_voided(first, 0),
        lambda: events.tickets_voided(second),
        lambda: events.refunded(first),
        lambda: events.refunded(second, 1250, 2500),
    ]
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
    same = msgspec.structs.replace(two, order_id=one.order_id)

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
    assert sorted(RANKS.values()) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(AssertionError):
        merge(Sale(order_id="a"), Sale(order_id="b"))
