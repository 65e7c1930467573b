"""The queueing model behind docs/capacity.md."""

import pytest

from bench.model import Model, Point, Stage, calibrated
from bench.sharing import stretch

STAGES = [Stage("reservation", 200), Stage("postgres", 250, at_once=0), Stage("billing", 50)]


def test_a_machine_carries_what_its_cores_carry() -> None:
    assert Model(STAGES, 0).most_per_s(2) == pytest.approx(4000)


def test_or_what_its_narrowest_process_carries() -> None:
    assert Model(STAGES, 0).most_per_s(64) == pytest.approx(5000)  # reservation: one core, 200 us each


def test_an_idle_machine_takes_the_work_and_the_waits() -> None:
    assert Model(STAGES, 3.0).response_ms(0.001, 2) == pytest.approx(3.5, abs=0.001)


def test_beyond_saturation_there_is_no_mean() -> None:
    with pytest.raises(ValueError, match="need 100% of 2 cores"):
        Model(STAGES, 3.0).response_ms(4000, 2)


def test_what_was_measured_at_a_low_rate_gives_the_waits() -> None:
    model = calibrated(STAGES, Point(10, cpu_us=500, mean_ms=8.0), cores=2)
    assert model.response_ms(10, 2) == pytest.approx(8.0)
    assert model.waits_ms == pytest.approx(7.5, abs=0.01)


def test_or_how_much_of_the_work_nobody_waits_for() -> None:
    model = calibrated(STAGES, Point(10, cpu_us=3500, mean_ms=2.0), cores=2)
    assert model.waits_ms == pytest.approx(0)
    assert model.awaited == pytest.approx(2.0 / 3.5, abs=0.02)
    assert model.response_ms(10, 2) == pytest.approx(2.0)


def test_waits_that_are_meant_are_no_work() -> None:
    model = calibrated(STAGES, Point(10, cpu_us=3500, mean_ms=5.0), cores=2, known_waits_ms=3.0)
    assert model.waits_ms == pytest.approx(3.0)
    assert model.response_ms(10, cores=2) == pytest.approx(5.0)


def test_holds_of_one_moment_share_what_a_batch_costs() -> None:
    model = Model(STAGES, 0.0, alone_us=3000, moment_s=0.01)
    assert model.cpu_us_at(0.001, 64) == pytest.approx(500 + 3000, abs=1)
    # One, five more in 10 ms, and one in the 2.2 ms that a stage has a batch of seven.
    assert model.cpu_us_at(500, 64) == pytest.approx(500 + 3000 / 7.0909, rel=1e-4)


def test_a_full_machine_makes_its_batches_as_large_as_it_needs() -> None:
    model = Model(STAGES, 0.0, alone_us=20_000)
    for rate in (200, 1000, 3000, 3900):  # one by one they would take 4 cores, 20, 61, 80
        used = rate * model.cpu_us_at(rate, 2) / 1e6
        assert used < 2
        assert model.response_ms(rate, 2) > 20
    assert model.response_ms(3000, 2) > model.response_ms(1000, 2)


def test_what_was_measured_at_a_low_rate_gives_what_a_batch_costs() -> None:
    model = calibrated(STAGES, Point(100, cpu_us=2000, mean_ms=20.0), cores=64, moment_s=0.01)
    assert model.alone_us == pytest.approx(1500 * 2.142857, rel=0.01)  # one more in 10 ms, 0.14 while a stage has them
    assert model.cpu_us_at(100, 64) == pytest.approx(2000, rel=0.001)
    assert model.response_ms(100, 64) == pytest.approx(20.0)


def test_two_sources_at_one_core_wait_for_each_other() -> None:
    # By hand: both idle 1/5 of the time, one at work 2/5, both 2/5. Busy 4/5, 6/5 there.
    assert stretch(0.8, cores=1, sources=2) == pytest.approx(1.5)


def test_a_few_sources_never_wait_for_more_than_all_the_others() -> None:
    assert 4 < stretch(0.999999, cores=2, sources=10) < 5
    assert stretch(0.99, cores=4, sources=4) == 1


def test_very_many_sources_are_an_open_queue() -> None:
    assert stretch(0.5, cores=1, sources=10_000) == pytest.approx(1 / (1 - 0.5), rel=0.01)
    assert stretch(0.8, cores=2, sources=10_000) == pytest.approx(1 / (1 - 0.8**2), rel=0.01)


def test_a_rate_says_how_many_cores_and_instances_each_stage_takes() -> None:
    assert Model(STAGES, 0).cores(10_000, at_most=0.5) == [
        ("reservation", 2.0, 4),
        ("postgres", 2.5, 5),
        ("billing", 0.5, 1),
    ]
