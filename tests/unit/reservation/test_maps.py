"""Seat maps as bytes: states written in place, gzip put together of parts, and what HTTP says about them."""

import gzip as library
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reservation import bodies
from reservation.maps import manners
from reservation.maps.packing import deflated, gzip
from reservation.maps.plan import BadStates, MapPlan, Place, TierPlan
from reservation.maps.seen import Long, Seen, etag_of

TIERS = [
    TierPlan("t1", 'Front "row"', 5000, numbered=True, capacity=3),
    TierPlan("t2", "Standing", 1500, numbered=False, capacity=2),
    TierPlan("t3", "Balcony é", 2500, numbered=True, capacity=2),
]
PLACES = [
    Place("u1", "t1", "A-1", "A", 1),
    Place("u2", "t1", "A-2", "A", 2),
    Place("u3", "t2", "Standing", None, None),
    Place("u4", "t2", "Standing", None, None),
    Place("u5", "t3", "B-1", "B", 1),
    Place("u6", "t3", "B-2", "B", 2),
    Place("u7", "t1", "C-1", "C", 1),  # a tier may go on after another
]
WORDS = {"f": "free", "h": "held", "s": "sold"}


def plan_of(places: list[Place]) -> MapPlan:
    plan = MapPlan("e1", TIERS)
    plan.add(places[:2])
    plan.add(places[2:])
    return plan


@given(st.lists(st.text("fhs", min_size=7, max_size=7), min_size=1, max_size=8))
def test_after_any_changes_it_shows_what_is_so(walk: list[str]) -> None:
    plan = plan_of(PLACES)
    for states in walk:
        plan.show(states.encode())
        seats = msgspec.json.decode(plan.seats, type=list[bodies.Seat])
        assert [(seat.seat_id, seat.label, seat.row, seat.number, seat.tier, seat.state) for seat in seats] == [
            (place.unit_id, place.label, place.row, place.number, _tier(place), WORDS[state])
            for place, state in zip(PLACES, states, strict=True)
            if place.row is not None
        ]
        for tier, plan_tier in zip(plan.tiers(), TIERS, strict=True):
            own = [s for place, s in zip(PLACES, states, strict=True) if place.tier_id == plan_tier.tier_id]
            assert (tier.name, tier.free, tier.held, tier.sold) == (
                plan_tier.name,
                own.count("f"),
                own.count("h"),
                own.count("s"),
            )


def _tier(place: Place) -> str:
    return next(tier.name for tier in TIERS if tier.tier_id == place.tier_id)


def test_it_says_whether_anything_changed() -> None:
    plan = plan_of(PLACES)
    assert plan.show(b"fffffff")
    assert not plan.show(b"fffffff")
    assert plan.show(b"ffhffff")
    assert not plan.show(b"ffhffff")


def test_an_event_without_numbered_seats() -> None:
    plan = plan_of(PLACES[2:4])
    plan.show(b"fs")
    assert plan.seats == b"[]"
    assert [(tier.free, tier.sold) for tier in plan.tiers()] == [(0, 0), (1, 1), (0, 0)]


@pytest.mark.parametrize("states", [b"", b"ffffff", b"ffffffff", b"fffxfff"])
def test_states_of_other_places_are_refused(states: bytes) -> None:
    plan = plan_of(PLACES)
    with pytest.raises(BadStates):
        plan.show(states)


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_gzip_is_one_member_that_anybody_reads(first: bytes, rest: bytes) -> None:
    packed = gzip(first, rest, deflated(rest))
    assert library.decompress(packed) == first + rest
    one = zlib.decompressobj(wbits=31)
    assert one.decompress(packed) == first + rest
    assert one.eof
    assert one.unused_data == b""


@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_plain_and_packed_are_the_same_and_made_once(size: int) -> None:
    seen = Seen(b"head ", Long(b"seat " * size), etag_of(b"x"))
    assert seen.plain() == b"head " + b"seat " * size
    assert library.decompress(await seen.gzip()) == seen.plain()
    assert await seen.gzip() is await seen.gzip()
    assert len(seen.plain()) + len(await seen.gzip()) <= seen.bytes_held


@pytest.mark.parametrize(
    ("value", "fresh"),
    [
        ("", False),
        ("no-cache", True),
        ("No-Cache", True),
        ("max-age=0", True),
        ("private, max-age=0", True),
        ("max-age=5", False),
        ("max-age=00", True),
        ("no-store", False),
    ],
)
def test_who_wants_it_fresh(value: str, fresh: bool) -> None:
    assert manners.wants_fresh({"Cache-Control": value}) is fresh


@pytest.mark.parametrize(
    ("value", "has"),
    [
        ("", False),
        ('W/"abc"', True),
        ('"abc"', True),
        ('"x", W/"abc" ,"y"', True),
        ("*", True),
        ("abc", False),
        ('W/"abcd"', False),
        ('"', False),
    ],
)
def test_who_has_it_already(value: str, has: bool) -> None:
    assert manners.has_it({"If-None-Match": value}, 'W/"abc"') is has


@pytest.mark.parametrize(
    ("value", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("*", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("br", False),
        ("identity", False),
    ],
)
def test_who_takes_it_packed(value: str, takes: bool) -> None:
    assert manners.takes_gzip({"Accept-Encoding": value}) is takes


def test_the_same_content_has_the_same_etag_everywhere() -> None:
    assert etag_of(b"event", b"fff") == etag_of(b"event", b"fff")
    assert etag_of(b"event", b"fff") != etag_of(b"event", b"ffh")


def test_no_cache_keeps_it_longer_than_is_promised() -> None:
    assert manners.told('W/"a"', 1999)["Cache-Control"] == "public, max-age=1"
    assert manners.told('W/"a"', 999)["Cache-Control"] == "public, max-age=0"
