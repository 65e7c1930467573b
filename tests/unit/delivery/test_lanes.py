"""The rules of lanes: names, slots, leases, barriers, and who relays how many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketflow.delivery.lanes import SLOTS, Lane, LaneState, lane_of, streams_of
from ticketflow.delivery.lanes_barrier import KIND, barrier_event, missing, requires_of
from ticketflow.delivery.lanes_spread import advice
from ticketflow.events import BadEvent, Envelope, HoldReleased, decode, encode, envelope_for

LANES = st.integers(1, SLOTS)


def test_lane_0_is_the_stream_itself() -> None:
    assert [Lane("orders", number).stream for number in (0, 1, 63)] == ["orders", "orders.1", "orders.63"]


@given(st.sampled_from(["orders", "a.b", "x-1"]), st.integers(0, SLOTS - 1))
def test_a_lane_is_known_by_its_name(family: str, number: int) -> None:
    lane = Lane(family, number)
    assert lane_of(family, lane.stream) == lane
    assert lane.stream in streams_of(family)


@pytest.mark.parametrize(
    "stranger",
    ["other", "orders.", "orders.0", "orders.01", "orders.64", "orders.x", "orders.1.2", "orders.²", "order.1"],
)
def test_a_stranger_is_no_lane(stranger: str) -> None:
    assert lane_of("orders", stranger) is None


@given(LANES)
def test_every_slot_belongs_to_exactly_one_lane(lanes: int) -> None:
    carried = [slot for number in range(lanes) for slot in Lane("orders", number).slots(lanes)]
    assert sorted(carried) == list(range(SLOTS))


@given(LANES, LANES)
def test_a_lane_beyond_the_number_carries_nothing(lanes: int, beyond: int) -> None:
    assert Lane("orders", lanes + beyond - 1).slots(lanes) == []


def test_the_lease_of_one_lane_is_not_that_of_the_first_of_several() -> None:
    assert Lane("orders", 0).lease(1) == "relay:orders"
    assert Lane("orders", 0).lease(2) == "relay:orders.0"
    assert Lane("orders", 1).lease(2) == Lane("orders", 1).lease(1) == "relay:orders.1"


@pytest.mark.parametrize(
    ("number", "lanes", "last_seq", "acked_seq", "kept", "at_work"),
    [(0, 1, 0, 0, False, True), (1, 2, 0, 0, False, True), (1, 1, 9, 8, True, True), (1, 1, 9, 9, True, True),
     (1, 1, 9, 9, False, False), (3, 2, 0, 0, False, False)],
)  # fmt: skip
def test_a_retired_lane_is_relayed_as_long_as_its_receiver_may_ask(
    number: int, lanes: int, last_seq: int, acked_seq: int, kept: bool, at_work: bool
) -> None:
    assert LaneState(Lane("orders", number), lanes, last_seq, acked_seq, kept).at_work == at_work


@given(st.dictionaries(st.sampled_from(streams_of("orders")), st.integers(1, 2**63 - 1)))
def test_a_barrier_comes_back_as_it_went_in(requires: dict[str, int]) -> None:
    event = decode(encode(barrier_event(requires)))
    assert (event.kind, requires_of(event)) == (KIND, requires)


def test_a_barrier_with_another_payload_is_a_bad_event() -> None:
    released = envelope_for(HoldReleased(hold_id="a"), key="a", correlation_id="c")
    fields = {name: getattr(released, name) for name in released.__struct_fields__}
    with pytest.raises(BadEvent):
        requires_of(Envelope(**(fields | {"kind": KIND})))


def test_what_is_missing_is_told_with_what_is_there() -> None:
    assert missing({"orders": 5, "orders.1": 3, "orders.2": 1}, {"orders": 5, "orders.1": 2}) == {
        "orders.1": (3, 2),
        "orders.2": (1, 0),
    }


# -- spreading


def test_who_is_alone_keeps_all_and_hesitates_never() -> None:
    assert advice("a", 4, [("a", 4)]) == (False, False)


def test_who_has_most_lets_one_go_and_leaves_free_ones_to_the_others() -> None:
    assert advice("a", 4, [("a", 4), ("b", 0)]) == (True, True)
    assert advice("b", 0, [("a", 4), ("b", 0)]) == (False, False)


@given(st.lists(st.integers(0, 16), min_size=1, max_size=6))
def test_letting_go_one_by_one_ends_with_the_lanes_spread_evenly(held: list[int]) -> None:
    names = "abcdef"
    total = sum(held)
    for _ in range(200):
        replicas = list(zip(names, held, strict=False))
        yielding = [index for index, (name, count) in enumerate(replicas) if advice(name, count, replicas).yields]
        assert len(yielding) <= 1
        if not yielding:
            break
        taker = next(index for index, (name, count) in enumerate(replicas) if not advice(name, count, replicas).waits)
        held[yielding[0]] -= 1
        held[taker] += 1
    assert max(held) - min(held) <= 1
    assert sum(held) == total
