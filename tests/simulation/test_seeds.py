"""Two thousand runs, each with faults of its own: nothing lost, nothing doubled, order kept, progress after healing.

A seed that fails: `python -m tests.simulation --seed N` shows what happened, step by step.
"""

import pytest

from tests.simulation.running import run_seed

SEEDS = 2000
AT_A_TIME = 25  # seeds of one test: about a second, so that all workers have their share


@pytest.mark.parametrize("first", range(0, SEEDS, AT_A_TIME))
def test_whatever_happens_each_event_takes_effect_once_and_in_order(first: int) -> None:
    failed = [outcome for seed in range(first, first + AT_A_TIME) if (outcome := run_seed(seed)).violation]
    assert not failed, "; ".join(
        f"{outcome.violation} (python -m tests.simulation --seed {outcome.seed})" for outcome in failed
    )
