"""What a buyer reads in each state of a sale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.phrases import money, place_name, short
from portal.telling import TICKETS_MAX, WALK_MAX, Back, Story, story_of
from tests.unit.portal.events import NOON_US, SaleEvents
from tests.unit.portal.folding import folded
from ticketflow.events import Envelope, OrderPending, Ticket, envelope_for, new_id

NOW_US = NOON_US + 60_000_000


def story(*events: Envelope, now_us: int = NOW_US) -> Story:
    return story_of(folded(*events), now_us)


def said(told: Story) -> str:
    return " ".join([told.headline, *told.lines])


def test_until_when_the_places_are_kept() -> None:
    sale = SaleEvents()
    told = story(sale.pending())

    assert told.headline == "Waiting for your payment"
    assert "kept for you until 18 Nov 2026, 11:11 UTC" in said(told)
    assert (told.name, told.amount, told.places) == ("Aida", "Price: 25.00 EUR", ["A-1 (stalls)", "A-2 (stalls)"])
    assert told.again_s is not None, "the page looks again"
    assert "another card" in said(story(sale.pending(), sale.declined()))


def test_the_time_to_pay_is_over_before_its_end_is_told() -> None:
    told = story(SaleEvents().pending(), now_us=NOON_US + 301_000_000)

    assert told.headline == "The time to pay is over"


def test_money_that_has_come_is_kept_only_with_places() -> None:
    sale = SaleEvents()

    assert "kept only when the places are yours" in said(story(sale.pending(), sale.authorized()))


def test_tickets_are_shown() -> None:
    sale = SaleEvents()
    told = story(*sale.sold())

    assert told.headline == "Here are your tickets"
    assert [(ticket.place, ticket.void) for ticket in told.tickets] == [
        ("A-1 (stalls)", False),
        ("A-2 (stalls)", False),
    ]
    assert (told.tone, told.again_s, told.places) == ("good", None, [])


def test_an_order_that_nobody_paid_says_that_nothing_was_charged() -> None:
    sale = SaleEvents()
    told = story(sale.pending(), sale.failed())

    assert said(told) == "This order has ended The time to pay was over. Nothing was charged."


def test_a_late_payment_for_the_same_places() -> None:
    assert "Your places were still free: you have them." in said(story(*SaleEvents().sold_late()))


def test_a_late_payment_for_other_places_names_both() -> None:
    told = story(*SaleEvents().sold_late(moved=True))

    assert "other places of the same price tier" in said(told)
    assert told.instead == (["A-1 (stalls)", "A-2 (stalls)"], ["K-1 (stalls)", "K-2 (stalls)"])


def test_other_places_are_told_without_knowing_which_were_chosen() -> None:
    sale = SaleEvents()
    told = story(sale.moved(), sale.issued(), sale.confirmed())

    assert told.instead == ([], ["K-1 (stalls)", "K-2 (stalls)"])


def test_a_late_payment_for_which_there_were_no_places() -> None:
    told = story(*SaleEvents().lost_late())

    assert told.headline == "There are no tickets, and your money is yours again"
    assert "came late" in said(told)
    assert "No money is kept" in said(told)


def test_a_bank_that_would_not_pay_after_all() -> None:
    sale = SaleEvents()
    told = story(sale.pending(), sale.authorized(), sale.failed("capture_refused", sale.order_id))

    assert "Your bank did not let us take the money after all. No money is kept" in said(told)


def test_other_places_that_could_not_be_paid_either_are_not_promised() -> None:
    sale = SaleEvents()
    pending = sale.pending()
    sale.wait(400)
    told = story(pending, sale.authorized(), sale.moved(), sale.failed("capture_refused", sale.order_id))

    assert (told.instead, told.places, told.tickets) == (None, [], [])
    assert "Your bank did not let us take the money after all." in told.lines


def test_a_refund_under_way_names_the_void_tickets() -> None:
    sale, refund_id = SaleEvents(), new_id()
    told = story(*sale.sold(), sale.tickets_voided(refund_id, 1))

    assert "Some of them are void; their money is on its way back." in told.lines
    assert [ticket.void for ticket in told.tickets] == [False, True]
    [back] = told.refunds
    assert back == Back(
        "Your money is on its way back.",
        ["Decided: 18 Nov 2026, 11:06 UTC", "Void: A-2 (stalls)", "Reason: the singer is ill"],
    )
    assert told.again_s == 60
    assert story(*sale.sold(), sale.tickets_voided(refund_id)).headline == "Your tickets are void"


@pytest.mark.parametrize(
    ("credits_minor", "text"),
    [
        (0, "12.50 EUR went back the way you paid."),
        (250, "10.00 EUR went back the way you paid, and 2.50 EUR as credits."),
        (1250, "12.50 EUR went back as credits."),
    ],
)
def test_how_money_came_back(credits_minor: int, text: str) -> None:
    sale, refund_id = SaleEvents(), new_id()
    begun = [*sale.sold(), sale.tickets_voided(refund_id, 0)]
    told = story(*begun, sale.refunded(refund_id, credits_minor=credits_minor))

    assert told.headline == "A part of your order was refunded"
    assert told.refunds[0].text == text
    assert told.amount == "Price: 25.00 EUR, of which refunded: 12.50 EUR"


def test_all_of_it_refunded() -> None:
    sale, refund_id = SaleEvents(), new_id()
    told = story(*sale.sold(), sale.tickets_voided(refund_id), sale.refunded(refund_id, 2500, 2500))

    assert (told.headline, told.tone, told.again_s) == ("Your order was refunded", "back", None)


def test_the_walk_says_nothing_twice_in_a_row_and_has_an_end() -> None:
    sale = SaleEvents()
    asked_again = [sale.pending(), *(sale.authorized() for _ in range(30))]
    assert len(story(*asked_again).walk) == 2

    undecided = [event for _ in range(30) for event in (sale.declined(), sale.authorized())]
    told = story(*undecided)
    assert (len(told.walk), told.left_out) == (WALK_MAX, 60 - WALK_MAX)
    assert told.walk[-1][0] == undecided[-1].occurred_at_us, "the newest are shown"


def test_many_tickets_have_an_end() -> None:
    sale = SaleEvents(places=TICKETS_MAX + 10)

    assert len(story(*sale.sold()).tickets) == TICKETS_MAX


def test_amounts_have_the_digits_of_their_currency() -> None:
    assert money(900, "JPY") == "900 JPY"
    assert money(1250, "KWD") == "1.250 KWD"
    assert money(5, "XXX") == "5 minor units of XXX"
    assert money(5, None) == "5 minor units of an unknown currency"


def test_a_place_whose_label_is_its_tier_is_named_once() -> None:
    assert place_name("floor", "floor") == "floor"
    assert place_name("A-1", "stalls") == "A-1 (stalls)"


@given(st.text(max_size=1000))
def test_what_others_wrote_becomes_one_short_line(text: str) -> None:
    line = short(text)

    assert len(line) <= 200
    assert line.isprintable()


def test_names_of_any_kind_do_no_harm() -> None:
    sale = SaleEvents()
    nameless = OrderPending(
        order_id=sale.order_id,
        event_id=sale.event_id,
        event_name="\n\r\t" + "x" * 5000,
        buyer_id="ann",
        currency="???",
        total_minor=10**18,
        lines=[],
        expires_at_us=NOON_US,
    )
    sale.tickets = [Ticket(ticket_id=new_id(), unit_id=new_id(), tier="\n", label="\u202e" * 900)]
    told = story(envelope_for(nameless, key=sale.order_id, correlation_id="a", now_us=NOON_US), sale.issued())

    assert len(told.name) == 200
    assert told.tickets[0].place == " ()"
