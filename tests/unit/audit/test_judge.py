"""What is told of one sale, by what all sides say. Everything here is old enough, unless a test says otherwise."""

from dataclasses import replace

from audit.money.judge import judge
from audit.money.limits import Limits
from audit.money.sides import Deal, HeldPlace, Hold, Line, Order, Payment, Refund, Sale, ShownTicket, Taken, Ticket

OLD = 3600.0
LIMITS = Limits()

PLACE = HeldPlace("u1", 100, "sold", "o", False)
HOLD = Hold("o", "e", "b", "SOLD", "p", 100, "EUR", OLD, (PLACE,))
PAYMENT = Payment("p", "CAPTURED", 100, 0, "sandbox", "a", OLD, 0, False)
ORDER = Order(
    order_id="o",
    event_id="e",
    event_name="E",
    buyer_id="b",
    currency="EUR",
    total_minor=100,
    refunds_minor=0,
    state="CONFIRMED",
    closing=None,
    age_s=OLD,
    expires_at_us=0,
    lines=(Line("u1", "t", "l", 100),),
    payments=(PAYMENT,),
    tickets=(Ticket("t1", "u1", False, None),),
    entries={("capture", "p"): {"clearing:sandbox": 100, "sales:e": -100}},
)
SALE = Sale("o", "e", "b", "CONFIRMED", 100, 0, OLD, (ShownTicket("t1", "u1", False),))
SOUND = Deal("o", HOLD, ORDER, SALE, {"p": [Taken("a", "captured", 100, 0)]})

FAILED = replace(
    SOUND,
    hold=replace(HOLD, state="RELEASED", payment_id=None, places=(replace(PLACE, state="free", owner=None),)),
    order=replace(
        ORDER,
        state="FAILED",
        closing="released",
        payments=(replace(PAYMENT, state="FAILED"),),
        tickets=(),
        entries={},
    ),
    sale=replace(SALE, state="FAILED", tickets=()),
    at_provider={"p": []},
)


def kinds(deal: Deal, *, late_s: float = 0.0) -> list[str]:
    return [one.kind for one in judge(deal, LIMITS, late_s)]


def test_what_is_sound_has_none() -> None:
    assert kinds(SOUND) == []
    assert kinds(FAILED) == []


def test_what_has_just_changed_anywhere_or_may_not_have_been_told_yet_has_none() -> None:
    wrong = replace(SOUND, sale=None)
    assert kinds(wrong) == ["portal_missing"]
    assert HOLD is not None
    assert kinds(replace(wrong, hold=replace(HOLD, age_s=59.0))) == []
    assert kinds(wrong, late_s=OLD - 30) == []
    assert kinds(wrong, late_s=OLD - 90) == ["portal_missing"]


def test_a_hold_that_ended_without_a_sale_is_purged_after_a_while() -> None:
    assert kinds(replace(FAILED, hold=None)) == []
    assert kinds(replace(SOUND, hold=None)) == ["order_without_hold"]


def test_a_hold_whose_places_went_back_needs_no_order() -> None:
    nobodys = replace(HOLD, places=(replace(PLACE, state="free", owner=None),))
    assert kinds(Deal("o", nobodys)) == []
    assert kinds(Deal("o", HOLD)) == ["seat_sold_without_order"]
    assert kinds(Deal("o", replace(nobodys, state="HELD", payment_id=None))) == ["hold_without_order"]


def test_places_that_moved_are_told_to_billing_while_it_waits() -> None:
    moved = replace(HOLD, places=(replace(PLACE, unit_id="u2"),))
    waiting = replace(
        ORDER, state="PENDING", payments=(replace(PAYMENT, state="AUTHORIZED", age_s=300.0),), tickets=(), entries={}
    )
    shown = replace(SALE, state="PAYING", tickets=())
    assert kinds(Deal("o", moved, waiting, shown)) == []
    assert "lines_differ" in kinds(replace(SOUND, hold=moved))


def test_money_that_a_worker_is_about_to_look_for_is_left_to_it() -> None:
    assert FAILED.order is not None
    left = {"p": [Taken("x", "authorized", 0, 0)]}
    assert kinds(replace(FAILED, at_provider=left)) == ["authorization_left_open"]
    watched = replace(FAILED.order, payments=(replace(PAYMENT, state="FAILED", watched=True),))
    assert kinds(replace(FAILED, order=watched, at_provider=left)) == []


def test_a_page_of_the_providers_may_be_open_for_a_day() -> None:
    paying = replace(PAYMENT, state="STARTED", authorization_id=None, page_left_s=10.0)
    waiting = Deal(
        "o",
        replace(HOLD, state="HELD", payment_id=None, places=(replace(PLACE, state="held"),)),
        replace(ORDER, state="PENDING", payments=(paying,), tickets=(), entries={}),
        replace(SALE, state="PENDING", tickets=()),
    )
    assert kinds(waiting) == []
    assert waiting.order is not None
    over = replace(waiting.order, payments=(replace(paying, page_left_s=-901.0),))
    assert kinds(replace(waiting, order=over)) == ["payment_stuck"]


def test_credits_of_a_refund_may_be_back_before_the_cards_part() -> None:
    refund = Refund("r", "p", "REQUESTED", 60, 40, False, "why", 120.0)
    booked = {("refund_credits", "r"): {"refunds:e": 40, "wallet:b": -40}}
    refunding = replace(
        ORDER,
        refunds_minor=100,
        tickets=(Ticket("t1", "u1", True, "r"),),
        refunds=(refund,),
        entries={**ORDER.entries, **booked},
    )
    shown = replace(SALE, tickets=(ShownTicket("t1", "u1", True),))
    assert kinds(replace(SOUND, order=refunding, sale=shown)) == []
    early = {("refund", "r"): {"refunds:e": 60, "clearing:sandbox": -60}}
    assert kinds(replace(SOUND, order=replace(refunding, entries={**ORDER.entries, **early}), sale=shown)) == [
        "ledger_differs"
    ]


def test_a_correction_of_an_entry_counts_with_it() -> None:
    wrong = {("capture", "p"): {"clearing:sandbox": 70, "sales:e": -70}}
    corrected = {**wrong, ("correction", "capture:p"): {"clearing:sandbox": 30, "sales:e": -30}}
    assert kinds(replace(SOUND, order=replace(ORDER, entries=wrong))) == ["ledger_differs"]
    assert kinds(replace(SOUND, order=replace(ORDER, entries=corrected))) == []


def test_what_the_provider_took_too_much_is_well_once_it_is_back_beside_the_refunds() -> None:
    def at_provider(captured_minor: int, refunded_minor: int) -> Deal:
        return replace(SOUND, at_provider={"p": [Taken("a", "captured", captured_minor, refunded_minor)]})

    assert kinds(at_provider(99, 0)) == ["provider_captured_less"]
    assert kinds(at_provider(130, 0)) == kinds(at_provider(130, 29)) == ["provider_captured_more"]
    assert kinds(at_provider(130, 30)) == []
    assert kinds(at_provider(130, 31)) == kinds(at_provider(100, 1)) == ["provider_refunded_more"]


def test_a_portal_that_knows_of_no_refunds_is_asked_for_none() -> None:
    refund = Refund("r", "p", "REFUNDED", 100, 0, False, "why", OLD)
    booked = {("refund", "r"): {"refunds:e": 100, "clearing:sandbox": -100}}
    refunded = replace(
        ORDER,
        state="REFUNDED",
        refunds_minor=100,
        tickets=(Ticket("t1", "u1", True, "r"),),
        refunds=(refund,),
        entries={**ORDER.entries, **booked},
    )
    deal = replace(SOUND, order=refunded, at_provider={"p": [Taken("a", "captured", 100, 100)]})
    assert kinds(replace(deal, sale=replace(SALE, refunded_minor=None))) == []
    assert kinds(deal) == ["portal_state_differs", "portal_tickets_differ"]
