"""The simulation finds what it is there for: each of the classic bugs, planted from outside, within 500 seeds, and at a
seed at which all rules hold without it."""

from collections.abc import Callable

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.running import first_violation, run_seed

SEEDS = 500

# Which rule may be the first to tell of it. Another one would mean that something else is broken.
RULES = {
    "ack-before-commit": {"ack"},
    "dedup-by-seq": {"once"},
    "no-fencing": {"fencing"},
    "no-rewind": {"progress"},
    "gap-accepted": {"order", "lost", "gapless"},
    "watermark-outside": {"order", "lost", "gapless"},
    "no-barrier": {"order"},
    "old-lanes": {"lanes"},
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_and_nothing_else_is_wrong_with_that_seed(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    found = first_violation(range(SEEDS), BUGS[name])
    assert found is not None, f"{name}: not found by {SEEDS} seeds"
    assert found.violation is not None
    record_property("told", f"simulation: {name} found at seed {found.seed}: {found.violation}")
    assert found.violation.partition(":")[0] in RULES[name]
    assert run_seed(found.seed).violation is None  # which also says that the bug is gone when its run is over
