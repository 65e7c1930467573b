"""Fuzzing by hand.

    python -m tests.fuzz run TARGET --seconds 600    coverage-guided, by atheris; what it gathers stays in .fuzz/TARGET
    python -m tests.fuzz run --seconds 600           every target in turn
    python -m tests.fuzz thin TARGET                 keep the shortest of each kind that .fuzz/TARGET has and the corpus has not
    python -m tests.fuzz replay FILE...              what one entry, or one finding, does: words, or the law that it breaks
    python -m tests.fuzz keep TARGET FILE...         take files into tests/corpus, each named for what it does
    python -m tests.fuzz seed | rename               write the first entries; name all of them anew

A finding is written to .fuzz/: replay it, mend the code, keep it.
"""  # noqa: E501 - a table of commands

import argparse
import subprocess
import sys
from pathlib import Path

WORK = Path(".fuzz")
INPUT_BYTES_MAX = 2048  # longer inputs reach nothing new, and run slower
UNIT_TIMEOUT_S = 10  # an input that takes longer is a finding: it hangs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("target", nargs="?")
    run.add_argument("--seconds", type=int, default=60)
    thin = commands.add_parser("thin")
    thin.add_argument("target")
    for name in ("replay", "keep"):
        command = commands.add_parser(name)
        if name == "keep":
            command.add_argument("target")
        command.add_argument("files", nargs="+", type=Path)
    commands.add_parser("seed")
    commands.add_parser("rename")
    asked = parser.parse_args()
    if asked.command == "run":
        return _run(asked.target, asked.seconds)
    return _tend(asked)


def _run(target: str | None, seconds: int) -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: `make fuzz` installs it", file=sys.stderr)
        return 2
    if target is None:
        return _run_each(seconds)
    with atheris.instrument_imports(include=["ticketflow.feed", "ticketflow.events"]):
        from tests.fuzz.corpus import ROOT
        from tests.fuzz.targets import TARGETS
    work = WORK / target
    work.mkdir(parents=True, exist_ok=True)
    function = TARGETS[target]
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={UNIT_TIMEOUT_S}",
        f"-artifact_prefix={WORK}/{target}-",
        "-print_final_stats=1",
        "-len_control=10",  # programs grow to their full length within a minute
    ]
    atheris.Setup([sys.argv[0], *options, str(work), str(ROOT / target)], lambda data: function(data) and None)
    atheris.Fuzz()  # ends the process
    return 0


def _run_each(seconds: int) -> int:
    from tests.fuzz.targets import TARGETS

    worst = 0
    for target in TARGETS:
        again = [sys.executable, "-m", "tests.fuzz", "run", target, "--seconds", str(seconds)]
        worst = max(worst, abs(subprocess.run(again, check=False).returncode))
    return worst


def _tend(asked: argparse.Namespace) -> int:
    from tests.fuzz import corpus
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

    if asked.command == "replay":
        for file in asked.files:
            target = next(name for name in TARGETS if name == file.parent.name or file.name.startswith(f"{name}-"))
            print(file, *TARGETS[target](file.read_bytes()))
    elif asked.command == "keep":
        for file in asked.files:
            print(corpus.keep(asked.target, file.read_bytes()) or f"{file} is there already")
    elif asked.command == "thin":
        gathered = [file.read_bytes() for file in (WORK / asked.target).iterdir()]
        there = {path.stem for path in corpus.entries(asked.target)}
        for data in corpus.shortest_of_each(asked.target, gathered):
            if corpus.title(TARGETS[asked.target](data)) not in there:
                print(corpus.keep(asked.target, data))
    elif asked.command == "seed":
        for target in TARGETS:
            mine = [data for name, data in seeds() if name == target]
            for data in corpus.shortest_of_each(target, mine) if target in ("receiver", "sender") else mine:
                corpus.keep(target, data)
    else:
        for old, new in corpus.rename():
            print(old.name, "->", new.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
