"""What may be asked for, and which rows and tiers make an event."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import reservation
from reservation import wishes
from reservation.catalogue import PlacePlan, RowPlan, TierPlan, check_event, check_hall, places
from reservation.refusals import KINDS, Refused
from ticketflow.events import new_id

EVENT, SEAT = new_id(), new_id()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
HALL = {"A": 2, "B": 1}
SEATED = TierPlan("seated", 2500, ["A"], None)
STANDING = TierPlan("standing", 1500, None, 2)


def test_a_wish_is_what_was_asked() -> None:
    wish = wishes.check(EVENT, "ann", [SEAT], [("standing", 2)], "same_tier")
    assert wish == wishes.Wish(EVENT, "ann", (SEAT,), {"standing": 2}, "same_tier")


@pytest.mark.parametrize(
    ("seats", "general", "code"),
    [
        ([], [], "nothing_requested"),
        ([], [("standing", 0)], "bad_quantity"),
        ([SEAT], [("standing", -1)], "bad_quantity"),
        ([new_id() for _ in range(50)], [("standing", 1)], "too_many_seats"),
        ([SEAT, SEAT], [], "seat_repeated"),
        ([], [("standing", 1), ("standing", 1)], "tier_repeated"),
        (["A-1"], [], "bad_id"),
    ],
)
def test_a_wish_that_cannot_be(seats: list[str], general: list[tuple[str, int]], code: str) -> None:
    with pytest.raises(Refused) as refused:
        wishes.check(EVENT, "ann", seats, general)
    assert refused.value.code == code
    assert "{" not in refused.value.detail


def test_every_place_of_an_event() -> None:
    assert list(places([SEATED, STANDING], HALL)) == [
        PlacePlan("seated", "A-1", "A", 1),
        PlacePlan("seated", "A-2", "A", 2),
        PlacePlan("standing", "standing", None, None),
        PlacePlan("standing", "standing", None, None),
    ]


def test_a_row_may_stay_unsold() -> None:
    check_event(LATER, "EUR", [SEATED], HALL, NOW)


@pytest.mark.parametrize(
    ("starts_at", "tiers", "code"),
    [
        (NOW, [SEATED], "starts_in_the_past"),
        (LATER, [SEATED, SEATED], "tier_name_repeated"),
        (LATER, [SEATED, SEATED._replace(name="again")], "row_repeated"),
        (LATER, [SEATED._replace(rows=["A", "A"])], "row_repeated"),
        (LATER, [SEATED._replace(rows=["Z"])], "row_unknown"),
        (LATER, [SEATED._replace(capacity=3)], "tier_ambiguous"),
        (LATER, [STANDING._replace(capacity=None)], "tier_ambiguous"),
        (LATER, [STANDING._replace(capacity=100_001)], "too_many_places"),
    ],
)
def test_an_event_that_cannot_be(starts_at: datetime, tiers: list[TierPlan], code: str) -> None:
    with pytest.raises(Refused) as refused:
        check_event(starts_at, "EUR", tiers, HALL, NOW)
    assert refused.value.code == code
    assert "{" not in refused.value.detail


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_an_event_is_paid_in_a_currency_of_iso_4217(currency: str) -> None:
    check_event(LATER, currency, [SEATED], HALL, NOW)


@pytest.mark.parametrize("currency", ["XXX", "EUZ"])
def test_an_event_is_paid_in_no_other(currency: str) -> None:
    with pytest.raises(Refused, match="currency_unknown") as refused:
        check_event(LATER, currency, [SEATED], HALL, NOW)
    assert currency in refused.value.detail


def test_a_hall_with_a_row_twice() -> None:
    with pytest.raises(Refused, match="row_repeated"):
        check_hall([RowPlan("A", 1), RowPlan("A", 1)])


def test_every_refusal_of_the_database_is_known_here() -> None:
    """place_hold answers with codes; each needs its status and its words."""
    schemas = (Path(reservation.__file__).parent / "schema").glob("*.sql")
    codes = {code for file in schemas for code in re.findall(r"json_build_object\('code', '(\w+)'", file.read_text())}
    assert len(codes) > 5
    assert codes - {"contended"} <= set(KINDS)
