"""`python -m stack`: one clear line when something is wrong, never a traceback."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack.settings import PORTS_SPAN, ROOT
from tests.support.ports import free_port, free_ports


def stack(run: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stack", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TICKETFLOW_RUN_DIR": str(run), **environ},
        check=False,
        text=True,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", [["status"], ["demo"], ["run", "billing", "parked", "list"]], ids=" ".join)
def test_a_stack_that_does_not_run_is_said_so(tmp_path: Path, command: list[str]) -> None:
    done = stack(tmp_path / "run", *command)
    assert done.returncode == 1
    assert "the stack is not running: `make run` starts it" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    done = stack(tmp_path / "run", "stop")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the stack is not running\n", "")


def test_logs_that_do_not_exist_are_said_so(tmp_path: Path) -> None:
    done = stack(tmp_path / "run", "logs")
    assert done.returncode == 1
    assert done.stderr.startswith("stack: there are no logs in ")


def test_a_busy_port_stops_up_before_anything_is_begun(tmp_path: Path) -> None:
    run = tmp_path / "run"
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        base = str(free_ports(PORTS_SPAN))
        done = stack(run, "up", TICKETFLOW_HTTP_PORT=str(port), TICKETFLOW_PORT_BASE=base)
    assert done.returncode == 1
    advice = f"stop what uses it, or set TICKETFLOW_HTTP_PORT (now {port})"
    assert done.stderr == f"stack: port {port} (http) is in use: {advice}\n"
    assert not (run / "mariadb").exists()
    assert stack(run, "clean").returncode == 0
    assert not run.exists()


def test_a_run_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = stack(tmp_path / "file" / "run", "up")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path / "file") in done.stderr


def test_a_missing_program_is_named_with_what_installs_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from stack import tools; from stack.__main__ import main;"
        "tools.RABBITMQ_BIN = Path('/nowhere'); sys.exit(main(['up']))"
    )
    environ = {"PATH": os.environ["PATH"], "TICKETFLOW_RUN_DIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, check=False, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("stack: `rabbitmq-server` is not installed: run `make install`")


def test_two_commands_at_once_do_not_meet(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = stack(run, "stop")
    assert done.returncode == 1
    assert done.stderr == "stack: another `python -m stack` is at work here: wait for it to end\n"
