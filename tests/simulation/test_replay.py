"""A seed is replayed exactly: the same trace, byte for byte, in this process and in any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.running import run_seed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(10))
def test_twice_gives_the_same_trace(seed: int) -> None:
    once, again = (run_seed(seed, traced=True) for _ in range(2))
    assert once.trace
    assert once.trace == again.trace


@pytest.mark.parametrize("seed", range(10))
def test_tracing_changes_nothing(seed: int) -> None:
    traced, untraced = run_seed(seed, traced=True), run_seed(seed)
    assert (traced.steps, traced.simulated_s) == (untraced.steps, untraced.simulated_s)


def replayed(seed: int, hash_seed: int) -> bytes:
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, timeout=60)
    return done.stdout


def test_another_process_with_other_hashes_gives_the_same_trace() -> None:
    one, other = replayed(3, hash_seed=1), replayed(3, hash_seed=2)
    assert one == other
    assert one.decode() == run_seed(3, traced=True).trace + "seed 3: all rules hold\n"


def test_the_trace_of_a_planted_bug_says_which_rule_it_broke() -> None:
    trace = run_seed(0, BUGS["ack-before-commit"], traced=True).trace
    assert "VIOLATION ack: " in trace
