"""The queueing model behind docs/capacity.md."""

import pytest

from bench.model import Model, Point, Stage, calibrated

STAGES = [Stage("reservation", 200), Stage("postgres", 250, at_once=0), Stage("billing", 50)]


def test_a_machine_carries_what_its_cores_carry() -> None:
    assert Model(STAGES, 0).most_per_s(2) == pytest.approx(4000)


def test_or_what_its_narrowest_process_carries() -> None:
    assert Model(STAGES, 0).most_per_s(64) == pytest.approx(5000)  # reservation: one core, 200 us each


def test_an_idle_machine_takes_the_work_and_the_waits() -> None:
    assert Model(STAGES, 3.0).response_ms(0, 2) == pytest.approx(3.5)


def test_half_of_two_cores_makes_the_work_a_third_longer() -> None:
    assert Model(STAGES, 3.0).response_ms(2000, 2) == pytest.approx(3.0 + 0.5 * 4 / 3)


def test_beyond_saturation_there_is_no_mean() -> None:
    with pytest.raises(ValueError, match="need 100% of 2 cores"):
        Model(STAGES, 3.0).response_ms(4000, 2)


def test_what_was_measured_at_a_low_rate_gives_the_waits() -> None:
    model = calibrated(STAGES, Point(400, cpu_us=500, mean_ms=8.0), cores=2)
    assert model.response_ms(400, 2) == pytest.approx(8.0)
    assert model.waits_ms == pytest.approx(7.5, abs=0.01)


def test_holds_of_one_moment_share_what_a_batch_costs() -> None:
    model = Model(STAGES, 0.0, alone_us=3000, moment_s=0.01)
    assert model.cpu_us_at(0) == pytest.approx(500 + 3000)
    assert model.cpu_us_at(500) == pytest.approx(500 + 3000 / 6)  # one, and five more in 10 ms
    assert model.response_ms(0, 2) == pytest.approx(3.5)
    assert model.response_ms(500, 2) == pytest.approx((6 * 0.5 + 3) / (1 - 0.25**2))  # 500/s at 1 ms: a quarter of two


def test_what_was_measured_at_a_low_rate_gives_what_a_batch_costs() -> None:
    model = calibrated(STAGES, Point(100, cpu_us=2000, mean_ms=20.0), cores=2, moment_s=0.01)
    assert model.alone_us == pytest.approx(1500 * 2)
    assert model.cpu_us_at(100) == pytest.approx(2000)
    assert model.response_ms(100, 2) == pytest.approx(20.0)


def test_a_rate_says_how_many_cores_and_instances_each_stage_takes() -> None:
    assert Model(STAGES, 0).cores(10_000, at_most=0.5) == [
        ("reservation", 2.0, 4),
        ("postgres", 2.5, 5),
        ("billing", 0.5, 1),
    ]
