"""Installs what is missing, and does nothing, in a moment, when nothing is.

Runs under the system's Python before there is a venv: nothing but the standard library here.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack import tools
from stack.account import is_root
from stack.errors import StackError
from stack.progress import say, step

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.txt"
STAMP = VENV / "installed"  # the hash of the lock that is installed
PACKAGES = Path(__file__).with_name("apt-packages.txt")
POLICY = Path("/usr/sbin/policy-rc.d")
UNITS = Path("/lib/systemd/system")
SERVER_UNITS = (
    "epmd.service",
    "epmd.socket",
    "mariadb.service",
    "nginx.service",
    "postgresql.service",
    "rabbitmq-server.service",
)
DISK_BYTES_MIN = 2_000_000_000  # the servers take 700 MB unpacked, the venv 250 MB, downloads as much for a while


def install() -> None:
    """Raises StackError."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this is the system's Python
        raise StackError(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}")
    missing = missing_programs()
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    current = STAMP.exists() and STAMP.read_text() == lock
    if (missing or not current) and (free := shutil.disk_usage(ROOT).free) < DISK_BYTES_MIN:
        needed, there = DISK_BYTES_MIN // 1_000_000, free // 1_000_000
        raise StackError(f"only {there} MB are free for {ROOT}: make room for {needed} MB")
    if missing:
        install_packages(missing)
    if not current:
        install_libraries(lock)


def missing_programs() -> list[str]:
    """The programs that the stack starts and that are not there."""
    wanted = {
        "initdb": tools.postgres,
        "postgres": tools.postgres,
        "mariadbd": tools.find,
        "mariadb-install-db": tools.find,
        "rabbitmq-server": tools.rabbitmq,
        "rabbitmqctl": tools.rabbitmq,
        "epmd": tools.find,
        "nginx": tools.find,
    }
    missing = []
    for program, find in wanted.items():
        try:
            find(program)
        except StackError:
            missing.append(program)
    return missing


def install_packages(missing: Sequence[str]) -> None:
    packages = [line for line in PACKAGES.read_text().split("\n") if line and not line.startswith("#")]
    if shutil.which("apt-get", path=tools.search_path()) is None:
        raise StackError(f"{', '.join(missing)} missing and no apt-get here: install what provides them, then again")
    as_root = root_command(missing, packages)
    say(f"missing: {', '.join(missing)}")
    units_before = _units()
    apt_install(packages, as_root)
    _disable(as_root, sorted(_units() - units_before))
    if still := missing_programs():
        raise StackError(f"{', '.join(still)} missing even now: stack/apt-packages.txt is for Debian 12")


def root_command(missing: Sequence[str], packages: Sequence[str]) -> list[str]:
    """What makes a command run as root: nothing, when we are. Raises StackError when we cannot be."""
    if is_root():
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        raise StackError(f"{', '.join(missing)} missing: as root run `apt-get install {' '.join(packages)}`")
    return [sudo]


def apt_install(packages: Sequence[str], as_root: Sequence[str]) -> None:
    """Installs them and starts nothing. ``as_root``: the command that makes us root, if one is needed."""
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    with _no_services(as_root):
        with step("apt-get update"):
            _run([*apt, "update"], "apt-get update")
        with step(f"apt-get install {' '.join(packages)}"):
            _run([*apt, "install", "--yes", "--no-install-recommends", *packages], "apt-get install")


def install_libraries(lock: str) -> None:
    python = VENV / "bin" / "python"
    if not (VENV / "bin" / "pip").exists():
        with step("making .venv"):
            _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "making .venv (apt package python3-venv)")
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    with step("installing the locked libraries"):
        _run([*pip, "install", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)], "pip install")
    STAMP.write_text(lock)


def _units() -> set[str]:
    """Those of the servers' system services that are there."""
    return {unit for unit in SERVER_UNITS if (UNITS / unit).exists()}


def _disable(as_root: Sequence[str], units: Sequence[str]) -> None:
    """Nor shall they start with the machine, and take the ports of servers that its owner means to run."""
    systemctl = shutil.which("systemctl", path=tools.search_path())
    if systemctl is None or not units:
        return
    _run([*as_root, systemctl, "--quiet", "disable", *units], "disabling the packages' own services")
    say(f"  their system services are disabled: {', '.join(units)}")


@contextmanager
def _no_services(as_root: Sequence[str]) -> Iterator[None]:
    """Debian starts a server as soon as it is installed, unless a policy says no. What was there is put back."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        had_one = POLICY.exists()
        if had_one:
            _run([*as_root, "cp", "-a", str(POLICY), str(kept)], "keeping policy-rc.d")
        policy = Path(folder) / "policy"
        policy.write_text("#!/bin/sh\nexit 101\n")
        _run([*as_root, "install", "-m", "755", str(policy), str(POLICY)], "writing policy-rc.d")
        try:
            yield
        finally:
            undo = ["cp", "-a", str(kept), str(POLICY)] if had_one else ["rm", "-f", str(POLICY)]
            _run([*as_root, *undo], "putting policy-rc.d back")


def _run(command: Sequence[str], purpose: str) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()][-1:] or ["it said nothing"]
        raise StackError(f"{purpose} failed: {said[0].strip()}")


def main() -> int:
    try:
        install()
    except StackError as error:
        print(f"install: {error}", file=sys.stderr)
    except PermissionError as error:
        print(f"install: no permission for {error.filename}: run it as the owner of {ROOT} or as root", file=sys.stderr)
    except OSError as error:
        print(f"install: {error.strerror}: {error.filename or os.fspath(ROOT)}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
