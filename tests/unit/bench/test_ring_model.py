"""What counts as a point of the model."""

import pytest

from bench.ring_model import typical_mean


def test_a_stall_of_the_disk_is_not_typical() -> None:
    quiet = [(0.1 * n, 0.04) for n in range(40)]
    stalled = [(1.0, 0.5), (1.1, 0.4), (1.2, 0.3)]
    assert typical_mean([*quiet, *stalled]) == pytest.approx(0.04)


def test_what_is_slow_half_of_the_time_is() -> None:
    assert typical_mean([(0.0, 0.02), (0.3, 0.04), (0.6, 0.05)]) == pytest.approx(0.04)
