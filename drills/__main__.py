"""``python -m drills list | run NAME... | all | judge DIR``: breaks the topology on purpose and says what came of it.

Exit code 0: everything held. 1: a checker failed, or a drill could not be judged. 2: safe, but a limit was missed.
130: interrupted; what was broken has been healed.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from drills import report_json, results_page
from drills.arena import Arena, entered
from drills.catalogue import DRILLS, Drill, named
from drills.commands import ANSWER_S, done, last_line
from drills.conduct import conduct, new_seed
from drills.engine import PROJECT, ROOT, Engine, ready
from drills.errors import DrillError, EngineMissing
from drills.history import decode, encode
from drills.machine import Machine, machine
from drills.progress import Progress
from drills.report_html import file_name, index, page
from drills.verdict import ExitCode, Judged, exit_code, judge, unjudged
from stack.progress import step

RESULTS = ROOT / "drills" / "results"
PAGE = ROOT / "docs" / "drills.md"
REPORTS = ROOT / ".run" / "drills"
UP_S = 300.0
COMPLAINT_CHARS = 2_000
INTERRUPTED = 130
HISTORY = ".history.json"
FRONT = f"http://127.0.0.1:{os.environ.get('TICKETFLOW_HTTP_PORT') or 8083}"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.what == "list":
        return _list()
    if options.what == "judge":
        return _judge_again(options.folder)
    chosen = _chosen(options)
    if isinstance(chosen, str):
        print(f"drills: {chosen}", file=sys.stderr)
        return 1
    # SIGTERM ends a run as Ctrl-C does: healed. (A shell starts background jobs with SIGINT ignored.)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        engine = ready(build=not options.no_build)
        _up(engine)
        verdicts = asyncio.run(_run_all(chosen, options, engine))
    except DrillError as error:
        print(f"drills: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return int(exit_code(verdict.verdict for verdict in verdicts))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m drills", description="Breaks the running topology on purpose and says what came of it."
    )
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("list", help="the drills, with what is done and what must be kept to")
    run = commands.add_parser("run", help="the drills that are named")
    run.add_argument("names", nargs="+", metavar="NAME")
    every = commands.add_parser("all", help="every drill; a complete run is kept in drills/results")
    every.add_argument("--ci", action="store_true", help="only the short subset: one of each kind")
    again = commands.add_parser(
        "judge", help="judges the histories of an earlier run again, by today's checkers and limits"
    )
    again.add_argument("folder", type=Path, metavar="DIR", help="the run's reports")
    for command in (run, every):
        command.add_argument("--report", type=Path, metavar="DIR", help="where HTML and JSON go (.run/drills/<time>)")
        command.add_argument("--seed", type=int, help="of buyers and chances; printed, to be given again")
        command.add_argument(
            "--tries",
            type=int,
            default=1,
            metavar="N",
            help="how often a drill may be run that is safe but misses a limit: the machine may just have been busy",
        )
        command.add_argument("--no-build", action="store_true", help="take the images as they are")
    return parser.parse_args(arguments)


def _list() -> int:
    width = max(len(drill.name) for drill in DRILLS)
    for drill in DRILLS:
        print(f"{drill.name:{width}}  {drill.about}{'  [ci]' if drill.ci else ''}")
    return 0


def _chosen(options: argparse.Namespace) -> list[Drill] | str:
    """What to run, or what is wrong with what was asked for."""
    if options.what == "all":
        return [drill for drill in DRILLS if drill.ci or not options.ci]
    found = [named(name) for name in options.names]
    unknown = [name for name, drill in zip(options.names, found, strict=True) if drill is None]
    if unknown:
        return f"no drill is called {', '.join(unknown)}; `python -m drills list` shows them"
    return [drill for drill in found if drill is not None]


def _up(engine: Engine) -> None:
    """The topology and the auditor. What runs already goes on running, unless its image or configuration changed.

    Twice, if need be: compose gives up on the first dependency that is not healthy in time, and goes on from there."""
    command = (*engine.compose, "--profile", "drills", "up", "--detach", "--remove-orphans")
    with step("bringing the topology up"):
        said = done(*command, timeout_s=UP_S, cwd=ROOT)
        if said.returncode != 0:
            said = done(*command, timeout_s=UP_S, cwd=ROOT)
    if said.returncode != 0:
        complaint = said.stdout.decode(errors="replace")[-COMPLAINT_CHARS:]
        raise EngineMissing(f"the topology does not come up:\n{complaint}")


def _judge_again(folder: Path) -> int:
    """Rewrites the run's reports and, when no drill is missing, the kept results."""
    files = {drill: folder / f"{drill.name}{HISTORY}" for drill in DRILLS}
    judged = [
        judge(decode(files[drill].read_bytes()), drill.limits, drill.about) for drill in DRILLS if files[drill].exists()
    ]
    if not judged:
        print(f"drills: {folder} has no histories", file=sys.stderr)
        return 1
    engine = ready(build=False)
    for number in range(1, len(judged) + 1):
        _write(folder, judged[:number], engine)
    Progress.on(sys.stdout).table([one.verdict for one in judged])
    if len(judged) == len(DRILLS):
        day = datetime.fromtimestamp(judged[0].started_at_s, UTC)
        _keep(report_json.summary(_machine(engine), judged), f"{day:%Y-%m-%d}.json")
    return int(exit_code(one.verdict for one in judged))


async def _run_all(drills: Sequence[Drill], options: argparse.Namespace, engine: Engine) -> list[Judged]:
    seed = new_seed() if options.seed is None else options.seed
    began = datetime.now(UTC)
    folder = options.report or REPORTS / began.strftime("%Y-%m-%dT%H-%M-%S")
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress.on(sys.stdout)
    progress.say(f"seed {seed}; reports go to {folder}")
    judged: list[Judged] = []
    async with entered(PROJECT, FRONT) as arena:
        for number, drill in enumerate(drills, 1):
            for again in range(options.tries - 1, -1, -1):
                progress.began(drill.name, drill.about, number=number, of=len(drills))
                one = await _one(drill, arena, seed, progress, folder)
                progress.ended(one)
                # What is unsafe is unsafe once and for all; how long something takes is a matter of the moment too.
                if not again or one.verdict.exit_code is not ExitCode.MISSED:
                    break
                progress.say("  a limit was missed: once more")
            judged.append(one)
            _write(folder, judged, engine)
    progress.table([one.verdict for one in judged])
    if options.what == "all" and not options.ci:
        _keep(report_json.summary(_machine(engine), judged), f"{began:%Y-%m-%d}.json")
    return judged


def _keep(summary: str, name: str) -> None:
    """The last full run, and the page that shows it."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(summary)
    PAGE.write_text(results_page.page(DRILLS, msgspec.json.decode(summary), name))


async def _one(drill: Drill, arena: Arena, seed: int, progress: Progress, folder: Path) -> Judged:
    began_s = time.time()
    try:
        history = await conduct(drill, arena, seed, progress.tick)
    except DrillError as error:
        return unjudged(drill.name, drill.limits, str(error), about=drill.about, started_at_s=began_s)
    (folder / f"{drill.name}{HISTORY}").write_bytes(encode(history))
    return judge(history, drill.limits, drill.about)


def _write(folder: Path, judged: Sequence[Judged], engine: Engine) -> None:
    """After each drill, so that a run that is broken off has its reports too."""
    here = _machine(engine)
    for one in judged[-1:]:
        (folder / file_name(one.name)).write_text(page(one, here, back="index.html"))
    (folder / "index.html").write_text(index(judged, here))
    (folder / "drills.json").write_bytes(report_json.everything(here, judged))


def _machine(engine: Engine) -> Machine:
    version = done("docker", "version", "--format", "{{.Server.Version}}", timeout_s=ANSWER_S)
    proxy = ", HAProxy in ProxySQL's place" if engine.stand_in else ""
    return machine(f"Docker {last_line(version)}{proxy}")


if __name__ == "__main__":
    sys.exit(main())
