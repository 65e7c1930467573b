"""What `python -m drills.engine` finds on a machine, and what it makes of it."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from drills import base_image, engine, images
from drills.commands import done, last_line
from drills.errors import EngineMissing

V2, V1 = ("docker", "compose", "version"), ("docker-compose", "version")
ANSWERS = ("docker", "version")
OFFLINE = ("-f", "docker-compose.yml", "-f", "docker-compose.offline.yml")


class Machine:
    """Commands that work here, by how they begin; all others fail with a reason."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.works: set[tuple[str, ...]] = {ANSWERS, V2, ("docker", "image")}
        self.ran: list[tuple[str, ...]] = []
        self.root = True
        self.installed: list[str] = []
        self.programs = {"docker", "dockerd", "docker-compose", "apt-get"}
        for module in (engine, base_image):
            monkeypatch.setattr(module, "done", self._done)
            monkeypatch.setattr(module, "is_root", lambda: self.root)
            monkeypatch.setattr(module, "apt_install", lambda packages, _as_root: self.installed.extend(packages))
            monkeypatch.setattr(module.shutil, "which", lambda name: name if name in self.programs else None)
        monkeypatch.setattr(images, "build", lambda *_: self.ran.append(("build",)))
        monkeypatch.delenv("DOCKER_HOST", raising=False)

    def _done(self, *command: str, **_options: object) -> "subprocess.CompletedProcess[bytes]":
        self.ran.append(command)
        works = any(command[: len(known)] == known for known in self.works)
        return subprocess.CompletedProcess(command, 0 if works else 1, b"" if works else b"some\nreason\n\n")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_with_everything_there_nothing_is_installed_or_pulled(machine: Machine) -> None:
    ready = engine.ready()
    assert ready == engine.Engine(
        ("docker", "compose", "--project-name", "ticketflow", "-f", "docker-compose.yml"), False
    )
    assert machine.installed == []
    assert not [command for command in machine.ran if command[1:2] == ("pull",)]
    assert ("build",) in machine.ran


def test_the_images_may_be_taken_as_they_are(machine: Machine) -> None:
    engine.ready(build=False)
    assert ("build",) not in machine.ran


def test_debians_compose_serves_too(machine: Machine) -> None:
    machine.works = {ANSWERS, V1, ("docker", "image")}
    assert engine.ready().compose[0] == "docker-compose"


def test_without_proxysqls_image_the_stand_in_is_taken_and_said(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.works = {ANSWERS, V2, ("docker", "image", "inspect", base_image.NAME)}
    ready = engine.ready()
    assert ready.stand_in
    assert ready.compose[-4:] == OFFLINE
    assert re.search(r"proxysql/proxysql:\S+ cannot be had here: an HAProxy .* stands in", capsys.readouterr().out)


def test_proxysqls_image_is_pulled_where_it_can_be(machine: Machine) -> None:
    machine.works = {ANSWERS, V2, ("docker", "image", "inspect", base_image.NAME), ("docker", "pull")}
    assert not engine.ready().stand_in


@pytest.mark.parametrize(
    ("root", "programs", "environ", "said"),
    [
        (False, {"docker"}, {}, r"start it as root, or join its group \(reason\)"),
        (False, set(), {}, "as root run `apt-get install docker.io docker-compose iptables`"),
        (True, set(), {}, "no apt-get either"),
        (
            True,
            {"docker", "dockerd"},
            {"DOCKER_HOST": "tcp://far:1"},
            "DOCKER_HOST=tcp://far:1 does not answer: reason",
        ),
    ],
)
def test_what_it_may_not_do_is_said_in_one_line(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    root: bool,
    programs: set[str],
    environ: Mapping[str, str],
    said: str,
) -> None:
    machine.works, machine.root, machine.programs = set(), root, programs
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineMissing, match=said) as error:
        engine.ready()
    assert "\n" not in str(error.value)
    assert machine.installed == []


def test_as_root_the_engine_is_installed_and_started(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.programs = {"apt-get"}
    machine.works = {("docker", "image")}

    def start() -> None:
        machine.works |= {ANSWERS, V1}
        machine.programs.add("docker-compose")

    monkeypatch.setattr(engine, "_start", start)
    assert engine.ready().compose[0] == "docker-compose"
    assert {"docker.io", "docker-compose", "iptables"} <= set(machine.installed)


def test_without_root_the_base_image_cannot_be_made(machine: Machine) -> None:
    machine.works, machine.root = {ANSWERS, V2}, False
    with pytest.raises(EngineMissing, match="debian:bookworm-slim cannot be pulled, and only root can make it"):
        engine.ready()


TWO_STANZAS = """\
Types: deb
URIs: http://sec.example/d
Suites: bookworm-security
Components: main

Types: deb
URIs: http://three.example/d http://four.example/d
Suites: bookworm bookworm-updates
Components: main
"""


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        (["deb http://one.example/debian bookworm main\n"], ["http://one.example/debian"]),
        (["# nothing\n", "deb [signed-by=/a.gpg] http://two.example/d bookworm main"], ["http://two.example/d"]),
        (
            [
                TWO_STANZAS,
            ],
            ["http://three.example/d"],
        ),
        (["deb http://other.example/debian trixie main", "Types: deb\nURIs: http://x.example\nSuites: nodistro\n"], []),
        ([], []),
    ],
)
def test_the_mirror_is_the_one_that_the_machine_uses(sources: list[str], mirror: list[str]) -> None:
    assert base_image.mirror(sources) == mirror


# -- images


def test_every_image_that_compose_builds_is_built_once() -> None:
    files = [engine.ROOT / name for name in (engine.COMPOSE_FILE, engine.OFFLINE_FILE)]
    found = images.contexts(files)
    assert found["ticketflow/app"] == "."
    assert all((engine.ROOT / folder / "Dockerfile").exists() for folder in found.values())
    named = set(re.findall(r"image: (ticketflow/\S+)", "".join(path.read_text() for path in files)))
    assert named <= found.keys()


def fake_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(images, "OTHERS", {})
    path = tmp_path / "compose.yml"
    path.write_text("services:\n  a:\n    build: one\n    image: t/one\n  b:\n    build: two\n    image: t/two\n")
    return path


def test_each_image_that_is_built_gets_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_docker(
        tmp_path,
        monkeypatch,
        """
        here=$(dirname "$0")
        case "$*" in
            build*) echo "$@" >>"$here/called"; case "$*" in */two) touch "$here/two-is-new" ;; esac ;;
            "image inspect"*two) [ -e "$here/two-is-new" ] && echo sha256:new || echo sha256:old ;;
            "image inspect"*) echo sha256:same ;;
        esac
        """,
    )
    images.build(tmp_path, [compose_file])
    called = sorted((tmp_path / "called").read_text().splitlines())
    assert called == [f"build --tag t/one {tmp_path}/one", f"build --tag t/two {tmp_path}/two"]
    said = capsys.readouterr().out
    assert re.search(r"t/one \d+\.\d s \(nothing new\)\n", said)
    assert re.search(r"t/two \d+\.\d s\n", said)


def test_a_build_that_fails_shows_the_end_of_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose_file: Path
) -> None:
    fake_docker(tmp_path, monkeypatch, "seq 100; echo 'no such package'; exit 1")
    with pytest.raises(EngineMissing, match=r"t/(one|two) could not be built:\n    87\n(.*\n)*    no such package$"):
        images.build(tmp_path, [compose_file])


# -- commands


@pytest.mark.parametrize(
    ("command", "timeout_s", "code", "said"),
    [
        (["sh", "-c", "echo out; echo complaint >&2; exit 3"], 10, 3, "complaint"),
        (["/no/such/program"], 10, 127, "/no/such/program: No such file or directory"),
        (["sleep", "9"], 0.2, 124, "no end within 0.2 s"),
        (["false"], 10, 1, "exit code 1"),
    ],
)
def test_a_command_that_fails_says_why(command: list[str], timeout_s: float, code: int, said: str) -> None:
    failed = done(*command, timeout_s=timeout_s)
    assert (failed.returncode, last_line(failed)) == (code, said)


@pytest.mark.parametrize(("arguments", "builds"), [([], True), (["up", "-d"], True), (["ps"], False)])
def test_images_are_built_for_up_and_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], builds: bool
) -> None:
    asked: list[bool] = []

    def ready(*, build: bool) -> engine.Engine:
        asked.append(build)
        return engine.Engine(("true",), False)

    monkeypatch.setattr(engine, "ready", ready)
    assert engine.main(arguments) == 0
    assert asked == [builds]


@pytest.mark.parametrize(
    ("arguments", "built"),
    [
        (["up", "--detach"], True),
        (["--no-build", "up", "-d"], False),
        (["--profile", "drills", "down"], False),
        (["--profile", "drills", "up"], True),
    ],
)
def test_what_is_for_compose_gets_there_as_it_was_written(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, arguments: list[str], built: bool
) -> None:
    def run(command: list[str], **_options: object) -> "subprocess.CompletedProcess[bytes]":
        machine.ran.append(tuple(command))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("drills.engine.subprocess.run", run)
    assert engine.main(arguments) == 0
    meant = [argument for argument in arguments if argument != "--no-build"]
    assert machine.ran[-1] == ("docker", "compose", "--project-name", "ticketflow", "-f", "docker-compose.yml", *meant)
    assert (("build",) in machine.ran) is built
