"""Performance, each goal by one command.

    python -m bench                 what goals there are
    python -m bench NAME...         measure these: ours, the other side, the ratio; exit 1 when a goal is missed
    python -m bench all             every goal; --write keeps each in bench/results/<date>.json
    python -m bench compare A B     what moved between two files of results
    python -m bench table FILE      a file of results as the table of docs/performance.md
    python -m bench capacity FILE   what docs/capacity.md says, from a file of results
    python -m bench profile FOLDER  flame graphs, statements and allocations of every process while sales go through

--json prints results on stdout as JSON; --rounds N measures more pairs than five.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import capacity, comparison, process, profiling, results, table
from bench.catalogue import GOALS
from bench.goal import Goal
from bench.run import ROUNDS, Run
from drills.machine import machine


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="results as JSON on stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"pairs of measurements, {ROUNDS} or more")
    parser.add_argument("--write", action="store_true", help="keep each result in bench/results/<date>.json")
    asked = parser.parse_args()
    if asked.names[:1] == ["compare"]:
        return _compare(parser, asked.names[1:])
    if asked.names[:1] == ["table"]:
        return _lines(parser, asked.names, table.table)
    if asked.names[:1] == ["capacity"]:
        return _lines(parser, asked.names, capacity.page)
    if asked.names[:1] == ["profile"]:
        return _profile(parser, asked.names[1:])
    if asked.rounds < ROUNDS:
        parser.error(f"--rounds {asked.rounds}: a median needs {ROUNDS} at least")
    known = {goal.name: goal for goal in GOALS}
    if not asked.names:
        for goal in GOALS:
            print(f"{goal.name:<24} {goal.what}, against {goal.other}: {goal.reach} {goal.ratio:g}x")
        return 0
    names = list(known) if asked.names == ["all"] else asked.names
    if unknown := [name for name in names if name not in known]:
        parser.error(f"no goal is called {unknown[0]!r}; `python -m bench` lists them")
    return _measure([known[name] for name in names], asked)


def _measure(goals: list[Goal], asked: argparse.Namespace) -> int:
    file = results.FOLDER / f"{datetime.now(UTC):%Y-%m-%d}.json"
    done: list[results.Result] = []
    for number, goal in enumerate(goals, 1):
        print(f"-- {number} of {len(goals)}: {goal.name}: {goal.what}", file=sys.stderr, flush=True)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what the parts say; stdout is for results
                measured = process.run(goal.measure(Run(goal.name, asked.rounds)))
        except Exception as error:  # one that fails must not cost the others their figures
            print(f"{goal.name}: not measured: {error!r}", file=sys.stderr, flush=True)
            continue
        done.append(results.Result.of(goal, measured))
        if asked.write:
            results.keep(file, machine(""), done[-1], [one.name for one in GOALS])
        if not asked.json:
            print(done[-1], flush=True)
            for name, value in done[-1].notes.items():
                print(f"    {name}: {value:,.5g}" if isinstance(value, float) else f"    {name}: {value}", flush=True)
    if asked.json:
        print(msgspec.json.format(msgspec.json.encode(results.Results(machine(""), done)), indent=1).decode())
    if asked.write:
        print(f"kept in {file}", file=sys.stderr)
    return 0 if len(done) == len(goals) and all(one.met for one in done) else 1


def _compare(parser: argparse.ArgumentParser, files: list[str]) -> int:
    if len(files) != 2:
        parser.error("compare takes two files of results")
    before, after = (_read(parser, file) for file in files)
    for line in comparison.compared(before, after):
        print(line)
    return 0


def _lines(parser: argparse.ArgumentParser, names: list[str], lines: Callable[[results.Results], Iterable[str]]) -> int:
    if len(names) != 2:
        parser.error(f"{names[0]} takes one file of results")
    try:
        for line in lines(_read(parser, names[1])):
            print(line)
    except KeyError as error:
        parser.error(f"{names[1]} has no {error}")
    return 0


def _read(parser: argparse.ArgumentParser, file: str) -> results.Results:
    try:
        return results.read(Path(file))
    except (OSError, msgspec.DecodeError) as error:
        parser.error(f"{file}: {error}")


def _profile(parser: argparse.ArgumentParser, folders: list[str]) -> int:
    if len(folders) != 1:
        parser.error("profile takes the folder to write to")
    Path(folders[0]).mkdir(parents=True, exist_ok=True)
    process.run(profiling.profile(Run("profile"), Path(folders[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
