"""The simulation finds what it is there for: each of the classic bugs, planted from outside, within 500 seeds."""

from collections.abc import Callable

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.running import first_violation

SEEDS = 500

# Which rule may be the first to tell of it. Another one would mean that something else is broken.
RULES = {
    "ack-before-commit": {"ack"},
    "dedup-by-seq": {"once"},
    "no-fencing": {"fencing"},
    "no-rewind": {"progress"},
    "gap-accepted": {"order", "lost", "gapless"},
    "watermark-outside": {"order", "lost", "gapless"},
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, record_property: Callable[[str, object], None]) -> None:
    found = first_violation(range(SEEDS), BUGS[name])
    assert found is not None, f"{name}: not found by {SEEDS} seeds"
    assert found.violation is not None
    record_property("told", f"simulation: {name} found at seed {found.seed}: {found.violation}")
    assert found.violation.partition(":")[0] in RULES[name]


@pytest.mark.parametrize("name", BUGS)
def test_the_bug_is_gone_when_its_run_is_over(name: str) -> None:
    first_violation([0], BUGS[name])
    assert first_violation([0]) is None
