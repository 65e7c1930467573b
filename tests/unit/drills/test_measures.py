"""The figures of a drill, against numbers worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.history import Fault, Sample, StreamAt
from drills.measures import Gap, LeaderChange, leader_changes, longest_gap, measure, percentile, rewound, seconds
from tests.unit.drills.story import Story


def outage() -> Story:
    """A hold each second for a minute, but none from 30 to 42; the fault begins at 30.5 and heals at 50."""
    story = Story(capacity=100)
    story.faults = [Fault("kill", "postgres2", 30.5, 50.0)]
    for at in [*range(1, 31), *range(42, 61)]:
        story.hold(f"h{at}", f"s{at}", at=float(at))
    return story


def test_the_longest_gap_begins_with_the_last_hold_before_the_fault() -> None:
    figures = measure(outage().history())

    assert (figures.gap_s, figures.gap_began_s) == (12.0, 30.0)


def test_the_steady_state_ends_with_the_fault() -> None:
    assert measure(outage().history()).gap_steady_s == 1.0


def test_orders_and_tickets_have_gaps_of_their_own() -> None:
    story = outage()
    for at in (10, 20, 45, 55):
        story.pay(f"h{at}", at=at + 0.5)
        story.settle(f"h{at}", at=float(at + 1))

    figures = measure(story.history())

    assert figures.orders_gap_s == pytest.approx(12.0)
    assert figures.orders_gap_steady_s == pytest.approx(1.1)  # the first one is created 1.1 s after the load began
    assert figures.tickets_gap_s == pytest.approx(25.0)
    assert figures.tickets_gap_steady_s == pytest.approx(11.0)


def test_without_a_fault_all_of_the_load_is_steady() -> None:
    story = outage()
    story.faults = []

    figures = measure(story.history())

    assert (figures.gap_s, figures.gap_steady_s, figures.recover_s, figures.drain_s) == (0.0, 12.0, 1.0, 10.0)


def test_recovery_counts_from_the_last_heal_and_the_drain_from_when_all_is_quiet() -> None:
    story = outage()
    story.faults.append(Fault("kill", "mariadb1", 31.0, 64.0))
    story.otherwise = {"recovered_s": 66.5, "drained_s": 67.25}

    figures = measure(story.history())

    assert (figures.recover_s, figures.drain_s) == (2.5, 3.25)


def test_what_never_happened_has_no_figure() -> None:
    story = outage()
    story.otherwise = {"recovered_s": None, "drained_s": None}

    figures = measure(story.history())

    assert (figures.recover_s, figures.drain_s) == (None, None)


def test_buyers_errors_are_what_is_left_after_their_retries() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.refused("h2", "s1", at=1.5)
    story.op("hold", "h3", at=9.0, outcome="indefinite", status=0, order_id="")
    story.op("hold", "h4", at=9.5, outcome="refused", status=503, code="store_unavailable", order_id="", attempts=9)
    story.op("pay", "h1", at=9.5, outcome="refused", status=409, code="order_not_yet", attempts=20)
    story.op("pay", "h1", at=9.6, status=202)
    story.op("pay", "h1", at=9.7, outcome="refused", status=410, code="hold_expired")

    story.op("hold", "h5", at=9.8, outcome="refused", status=0, code="not_connected", order_id="")
    story.op("order", "h1", at=9.9, state="PENDING")
    story.op("sale", "h1", at=9.9, state="CONFIRMED")

    figures = measure(story.history())

    assert figures.errors == {
        "hold no answer": 1,
        "hold 503 store_unavailable": 1,
        "pay 409 order_not_yet": 1,
        "hold no answer not_connected": 1,
        "order 200 still PENDING": 1,
    }
    assert figures.buyer_errors == 5
    assert figures.refused == {"seat_unavailable": 1}
    assert (figures.buyers, figures.ops, figures.holds, figures.retried) == (5, 10, 1, 2)


def test_latencies_are_told_before_and_during_the_faults() -> None:
    story = Story(capacity=20)
    story.faults = [Fault("kill", "x", 11.0, 12.0)]
    for n in range(1, 11):
        story.op("hold", f"h{n}", at=float(n), took=n / 1000, key=f"k{n}")
        story.op("hold", f"h{n}-late", at=11.0 + n, took=n / 10, key="k")

    figures = measure(story.history())

    assert [figures.p50_steady_ms, figures.p99_steady_ms] == pytest.approx([5, 10])
    assert [figures.p50_ms, figures.p99_ms] == pytest.approx([500, 1000])


def test_a_second_click_is_no_second_hold() -> None:
    story = Story()
    story.hold("h1", "s1", at=1.0)
    story.op("hold", "h1", at=2.0, key="h1-key", status=201, seats=("s1",))

    assert measure(story.history()).holds == 1


def test_an_order_becomes_visible_after_its_hold() -> None:
    story = Story()
    for n in (1, 2, 3):
        story.hold(f"h{n}", f"s{n}", at=float(n))

    figures = measure(story.history())

    assert figures.order_visible_p50_s == pytest.approx(0.1)
    assert figures.order_visible_max_s == pytest.approx(0.1)


def test_each_second_is_counted_by_when_its_ops_ended() -> None:
    story = Story()
    story.op("hold", "h1", at=1.2, took=0.5, key="k1")
    story.op("hold", "h2", at=1.9, took=0.125, key="k2")
    story.refused("h3", "s1", at=3.5)
    story.op("sale", "h1", at=3.6, outcome="indefinite")

    assert [(s.at_s, s.holds, s.refused, s.errors) for s in seconds(story.history())] == [
        (0, 0, 0, 0),
        (1, 2, 0, 0),
        (2, 0, 0, 0),
        (3, 0, 1, 1),
    ]
    assert [(s.p50_ms, s.p99_ms) for s in seconds(story.history())][:2] == [
        (None, None),
        (pytest.approx(125), pytest.approx(500)),
    ]


def test_a_history_without_ops_has_no_seconds() -> None:
    assert seconds(Story().history()) == ()


def test_leaders_change_when_somebody_else_is_seen() -> None:
    story = Story()
    story.samples = [
        Sample(1.0, roles={"postgres primary": "postgres1", "galera writer": "mariadb1", "postgres timeline": "1"}),
        Sample(2.0, roles={"galera writer": "", "relay of portal": "portal1"}),
        Sample(3.0, roles={"postgres primary": "postgres1", "galera writer": "mariadb2"}),
        Sample(4.0, roles={"postgres primary": "postgres3", "postgres timeline": "2", "relay of portal": "portal2"}),
    ]

    assert leader_changes(story.history()) == (
        LeaderChange(3.0, "galera writer", "", "mariadb2"),
        LeaderChange(4.0, "postgres primary", "postgres1", "postgres3"),
        LeaderChange(4.0, "relay of portal", "portal1", "portal2"),
    )


def test_a_leader_that_could_not_be_seen_for_a_while_has_not_changed() -> None:
    story = Story()
    story.samples = [Sample(float(at), roles={"etcd leader": who}) for at, who in enumerate(["etcd1", "", "etcd1"])]

    assert leader_changes(story.history()) == ()


def test_rewound_events_are_counted_from_the_acks_that_went_back() -> None:
    story = Story()
    story.samples = [
        Sample(float(at), streams={"reservation": StreamAt(1, 50, acked, mark)})
        for at, (acked, mark) in enumerate([(40, 40), (28, 28), (45, 45), (44, 44)])
    ]

    assert rewound(story.history()) == 13


def test_a_rewind_that_no_sample_shows_counts_as_one() -> None:
    story = Story()
    story.stream["portal"] = {"rewinds": 1}

    assert rewound(story.history()) == 1


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], Gap(10, 10)),
        ([15], Gap(5, 10)),
        ([9, 15], Gap(6, 9)),
        ([9, 15, 28], Gap(6, 9)),
        ([1, 2, 3], Gap(17, 3)),
        ([10, 12, 14, 16, 18, 20], Gap(2, 10)),
        ([25], Gap(10, 10)),
    ],
)
def test_a_gap_counts_where_it_touches_the_window(points: list[float], expected: Gap) -> None:
    assert longest_gap(points, 10, 20) == expected


def test_a_window_of_no_length_has_no_gap() -> None:
    assert longest_gap([1, 2], 10, 10) == Gap(0, 10)


@given(st.lists(st.floats(0, 100), max_size=30).map(sorted))
def test_no_gap_is_shorter_than_an_even_spread_would_make_it(points: list[float]) -> None:
    assert longest_gap(points, 0, 100).length_s >= 100 / (len(points) + 1) - 1e-9


def test_a_percentile_is_a_value_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]

    assert [percentile(values, p) for p in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]
    assert (percentile([7.0], 99), percentile([], 50)) == (7.0, None)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_at_least_so_many_percent_are_not_above_the_percentile(values: list[float], percent: int) -> None:
    found = percentile(values, percent)

    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
