"""`--seed N` replays a seed and prints its trace; `--seeds A-B` runs many; `--bug NAME` plants a bug."""

import argparse
import sys
import time

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.running import run_seed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="replay this seed and print its trace")
    what.add_argument("--seeds", help="run these, as in 0-1999, and print those that fail")
    parser.add_argument("--bug", choices=sorted(BUGS), help="with this bug planted")
    given = parser.parse_args()
    bug = BUGS.get(given.bug, Bug())
    if given.seed is not None:
        outcome = run_seed(given.seed, bug, traced=True)
        sys.stdout.write(outcome.trace)
        print(f"seed {given.seed}: {outcome.violation or 'all rules hold'}")
        return 1 if outcome.violation else 0
    first, _, last = given.seeds.partition("-")
    began, failed = time.process_time(), 0
    seeds = range(int(first), int(last or first) + 1)
    for seed in seeds:
        if violation := run_seed(seed, bug).violation:
            failed += 1
            print(f"seed {seed}: {violation}", flush=True)
    took_s = time.process_time() - began
    print(f"{len(seeds)} seeds, {failed} failed, {took_s / len(seeds):.3f} s of processor each")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
