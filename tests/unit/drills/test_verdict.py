"""Limits, verdicts and exit codes."""

import msgspec
import pytest

from drills.history import Fault, History
from drills.limits import Limits, allowed_s, missed
from drills.measures import Figures, measure
from drills.verdict import ExitCode, exit_code, judge, unjudged
from tests.unit.drills.story import Story, good_story

NO_LIMITS = Limits(drain_s_max=1000, recover_s_max=1000)


def figures(**changes: object) -> Figures:
    return msgspec.structs.replace(measure(good_story().history()), **changes)


def test_no_limit_asked_is_no_limit_missed() -> None:
    assert missed(NO_LIMITS, figures(gap_s=1e9, orders_gap_s=1e9, buyer_errors=99)) == ()


def test_every_missed_limit_is_a_sentence() -> None:
    limits = Limits(
        gap_s_max=1.5, orders_gap_s_max=2.5, tickets_gap_s_max=30, buyer_errors_max=0, drain_s_max=20, recover_s_max=30
    )
    found = figures(gap_s=1.6, orders_gap_s=2.7, tickets_gap_s=30.1, buyer_errors=2, drain_s=21.0, recover_s=None)

    assert missed(limits, found) == (
        "longest gap between acknowledged holds: 1.6 s, at most 1.5 s",
        "longest gap between orders: 2.7 s, at most 2.5 s",
        "longest gap between tickets: 30.1 s, at most 30.0 s",
        "errors that buyers saw: 2, at most 0",
        "drained: after 21.0 s, at most after 20 s",
        "all healthy: never, at most after 30 s",
    )


def test_a_limit_is_kept_up_to_its_value() -> None:
    limits = Limits(gap_s_max=1.5, buyer_errors_max=0, drain_s_max=20, recover_s_max=30)

    assert missed(limits, figures(gap_s=1.5, buyer_errors=0, drain_s=20.0, recover_s=30.0)) == ()


@pytest.mark.parametrize(("steady_s", "allowed"), [(0.1, 1.0), (0.5, 1.0), (0.6, 1.2)])
def test_a_gap_that_may_not_be_felt_is_measured_against_the_steady_state(steady_s: float, allowed: float) -> None:
    assert allowed_s(0, steady_s) == allowed


def test_a_gap_that_was_felt_is_told_with_what_steady_state_was() -> None:
    found = figures(gap_s=3.0, gap_steady_s=0.6)

    assert missed(Limits(gap_s_max=0, drain_s_max=1000, recover_s_max=1000), found) == (
        "longest gap between acknowledged holds: 3.0 s, at most 1.2 s, as in steady state (0.6 s)",
    )


def test_a_good_drill_is_safe_and_met() -> None:
    judged = judge(good_story().history(), Limits(buyer_errors_max=0))

    verdict = judged.verdict
    assert (verdict.name, verdict.safe, verdict.met, verdict.missed, verdict.exit_code) == (
        "a drill",
        True,
        True,
        (),
        0,
    )
    assert set(verdict.checks.values()) == {True}
    assert (verdict.holds, verdict.sold, verdict.buyer_errors, verdict.drain_s) == (4, 2, 0, 10.0)


def test_a_missed_limit_makes_2() -> None:
    verdict = judge(good_story().history(), Limits(drain_s_max=5)).verdict

    assert (verdict.safe, verdict.met, verdict.exit_code) == (True, False, ExitCode.MISSED)
    assert verdict.missed == ("drained: after 10.0 s, at most after 5 s",)


def unsafe() -> History:
    story = good_story()
    del story.units["s9"]
    return story.history()


def test_a_failed_checker_makes_1_whether_or_not_limits_are_kept() -> None:
    kept, not_kept = judge(unsafe(), NO_LIMITS).verdict, judge(unsafe(), Limits(drain_s_max=5)).verdict

    assert (kept.safe, kept.met, kept.checks["bank"], kept.exit_code) == (False, True, False, ExitCode.UNSAFE)
    assert (not_kept.met, not_kept.exit_code) == (False, ExitCode.UNSAFE)


def test_a_drill_that_could_not_be_judged_is_not_safe() -> None:
    judged = unjudged("postgres-kill", NO_LIMITS, "the auditor was not let in")

    assert (judged.verdict.safe, judged.verdict.met, judged.verdict.exit_code) == (False, False, ExitCode.UNSAFE)
    assert judged.verdict.missed == ("no verdict: the auditor was not let in",)


def test_of_several_drills_the_worst_counts() -> None:
    good, slow, bad = (
        judge(good_story().history(), NO_LIMITS).verdict,
        judge(good_story().history(), Limits(drain_s_max=1)).verdict,
        judge(unsafe(), NO_LIMITS).verdict,
    )

    assert exit_code([]) == ExitCode.KEPT
    assert exit_code([good, good]) == ExitCode.KEPT
    assert exit_code([good, slow]) == ExitCode.MISSED
    assert exit_code([slow, bad, good]) == ExitCode.UNSAFE


def test_the_time_line_has_what_a_report_draws() -> None:
    story = Story()
    story.faults = [Fault("kill", "etcd1", 2.0, 9.0)]
    story.hold("h1", "s1", at=1.0)

    line = judge(story.history(), NO_LIMITS).timeline

    assert line is not None
    assert (line.first_fault_s, line.load_ended_s, line.drained_s, len(line.seconds)) == (2.0, 60.0, 70.0, 2)
    assert line.faults == tuple(story.faults)
