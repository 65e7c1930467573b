"""Makes sure that a Docker engine, compose and every image are there: `python -m drills.engine [COMPOSE ARGUMENTS]`.

As root it installs what Debian has and starts what does not run; anybody else is told, in one line, what root must do.
Nothing is done that is done already: with everything there it takes a second or two.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drills import base_image, images
from drills.commands import ANSWER_S, done, last_line
from drills.errors import DrillError, EngineMissing
from stack.account import is_root
from stack.errors import StackError
from stack.install import apt_install
from stack.progress import say, step

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "ticketflow"  # not the folder's name, which compose would take
COMPOSE_FILE = "docker-compose.yml"
OFFLINE_FILE = "docker-compose.offline.yml"
PACKAGES = ("docker.io", "docker-compose", "iptables")  # the engine needs iptables, and only recommends it
LOG = Path("/var/log/dockerd.log")
STARTS_S = 60.0  # dockerd is there in 2 s; with many containers to restore, on a busy machine, it has taken 20
PULL_S = 20.0  # both images are small: whoever can have them has them by then
_PROXYSQL = re.compile(r"image: (proxysql/\S+)")


@dataclass(frozen=True)
class Engine:
    """``compose``: the command, to be run in the project's folder. ``stand_in``: HAProxy is there for ProxySQL."""

    compose: tuple[str, ...]
    stand_in: bool


def ready(*, build: bool = True) -> Engine:
    """Returns when everything is there; says what it does about it. Raises EngineMissing."""
    try:
        _answering()
        compose = _compose()
        if not base_image.is_there():
            base_image.make(PULL_S)
        stand_in = not _proxysql()
        files = (COMPOSE_FILE, OFFLINE_FILE) if stand_in else (COMPOSE_FILE,)
        if build:
            images.build(ROOT, [ROOT / name for name in files])
    except StackError as error:  # apt's, which says all there is to say
        raise EngineMissing(str(error)) from error
    options = [option for name in files for option in ("-f", name)]
    return Engine((*compose, "--project-name", PROJECT, *options), stand_in)


def _answering() -> None:
    """Installs and starts the engine where it may."""
    if shutil.which("docker") is None:
        _install("there is no docker here")
    said = _asked()
    if said.returncode == 0:
        return
    if os.environ.get("DOCKER_HOST"):
        raise EngineMissing(f"DOCKER_HOST={os.environ['DOCKER_HOST']} does not answer: {last_line(said)}")
    if not is_root():
        raise EngineMissing(f"no Docker engine answers: start it as root, or join its group ({last_line(said)})")
    if shutil.which("dockerd") is None:
        _install("no Docker engine answers and dockerd is missing")
    with step("starting the Docker engine"):
        _start()


def _asked() -> "subprocess.CompletedProcess[bytes]":
    """Fails, and says why, when no engine answers."""
    return done("docker", "version", "--format", "{{.Server.Version}}", timeout_s=ANSWER_S)


def _install(why: str) -> None:
    if not is_root():
        raise EngineMissing(f"{why}: as root run `apt-get install {' '.join(PACKAGES)}`")
    if shutil.which("apt-get") is None:
        raise EngineMissing(f"{why}, and no apt-get either: install an engine and compose, then again")
    say(f"{why}: Debian's own is installed")
    apt_install(PACKAGES, [])


def _start() -> None:
    """By systemd where it runs; else by itself, so that it outlives us."""
    if Path("/run/systemd/system").exists():
        said = done("systemctl", "start", "docker", timeout_s=STARTS_S)
        if said.returncode != 0:
            raise EngineMissing(f"systemctl start docker failed: {last_line(said)}")
        process = None
    else:
        with LOG.open("ab") as log:
            process = subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
    deadline = time.monotonic() + STARTS_S
    while _asked().returncode != 0:
        if process is not None and process.poll() is not None:
            raise EngineMissing(f"dockerd ended at once; {LOG} says why: {_tail(LOG)}")
        if time.monotonic() > deadline:
            raise EngineMissing(f"dockerd does not answer after {STARTS_S:.0f} s; see {LOG}")
        time.sleep(0.3)


def _compose() -> list[str]:
    """Version 2 where it is; else version 1, which Debian has."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and done(*command, "version", timeout_s=ANSWER_S).returncode == 0:
            return command
    _install("there is no compose here")
    return ["docker-compose"]


def _proxysql() -> bool:
    """Whether ProxySQL's own image can be had."""
    found = _PROXYSQL.search((ROOT / COMPOSE_FILE).read_text())
    if found is None:
        raise EngineMissing(f"{COMPOSE_FILE} names no image of ProxySQL")
    image = found[1]
    if done("docker", "image", "inspect", image, timeout_s=ANSWER_S).returncode == 0:
        return True
    say(f"  {image} is not here; pulling it, for {PULL_S:.0f} s at most")
    if done("docker", "pull", "--quiet", image, timeout_s=PULL_S).returncode == 0:
        return True
    say(f"NOTE: {image} cannot be had here: an HAProxy that knows Galera stands in for ProxySQL ({OFFLINE_FILE}).")
    return False


def _tail(log: Path) -> str:
    """Its last complaint: when it has failed, what follows is of little use."""
    lines = log.read_text(errors="replace").splitlines() or ["nothing"]
    return ([line for line in lines if "failed" in line] or lines)[-1].strip()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m drills.engine", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-build", action="store_true", help="take the images as they are")
    parser.add_argument(
        "compose", nargs=argparse.REMAINDER, help="for compose, once everything is there: up -d, ps, ..."
    )
    options, before = parser.parse_known_args(arguments)  # REMAINDER begins at the first word, not at an option
    compose = [*before, *options.compose]
    try:
        engine = ready(build=not options.no_build and (not compose or "up" in compose))
    except DrillError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not compose:
        say(f"ready: {' '.join(engine.compose)} up -d")
        return 0
    return subprocess.run([*engine.compose, *compose], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
