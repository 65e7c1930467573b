"""What `make install` does before there is anything to do it with."""

import shutil
from pathlib import Path

import pytest

from stack import install, lock
from stack.errors import StackError

BIN = "/usr/bin:/bin"


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "POLICY", path)
    return path


def test_no_service_starts_while_packages_are_installed(policy: Path) -> None:
    with install._no_services([]):
        assert policy.read_text() == "#!/bin/sh\nexit 101\n"
        assert policy.stat().st_mode & 0o777 == 0o755
    assert not policy.exists()


def test_a_policy_that_was_there_is_put_back_even_after_a_failure(policy: Path) -> None:
    policy.write_text("#!/bin/sh\nexit 7\n")
    policy.chmod(0o750)
    with pytest.raises(StackError), install._no_services([]):
        raise StackError("apt-get install failed")
    assert policy.read_text() == "#!/bin/sh\nexit 7\n"
    assert policy.stat().st_mode & 0o777 == 0o750


def test_only_system_services_that_the_installation_brought_are_disabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Path
) -> None:
    units = tmp_path / "units"
    units.mkdir()
    (units / "nginx.service").touch()  # the machine's owner runs it
    commands: list[list[str]] = []

    def run(command: list[str], _purpose: str) -> None:
        commands.append(command)
        if "install" in command and "apt-get" in command:
            (units / "postgresql.service").touch()
            (units / "procps.service").touch()

    monkeypatch.setattr(install, "UNITS", units)
    monkeypatch.setattr(install, "_run", run)
    monkeypatch.setattr(install, "is_root", lambda: True)
    monkeypatch.setattr(install, "missing_programs", list)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    install.install_packages(["postgres"])
    disabled = [command for command in commands if "disable" in command]
    assert disabled == [["/usr/bin/systemctl", "--quiet", "disable", "postgresql.service"]]


def test_nothing_is_installed_when_everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nothing was missing")

    monkeypatch.setattr(install, "install_packages", never)
    monkeypatch.setattr(install, "missing_programs", list)
    monkeypatch.setattr(install, "install_libraries", lambda _lock: None)
    install.install()


def test_without_root_and_sudo_it_says_what_root_must_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "is_root", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name, **_: "/usr/bin/apt-get" if name == "apt-get" else None)
    with pytest.raises(StackError, match=r"nginx missing: as root run `apt-get install postgresql .*nginx-light"):
        install.install_packages(["nginx"])


def test_without_apt_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(StackError, match="mariadbd, nginx missing and no apt-get here"):
        install.install_packages(["mariadbd", "nginx"])


def test_too_little_disk_is_said_before_anything_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "missing_programs", lambda: ["nginx"])
    monkeypatch.setattr(install, "DISK_BYTES_MIN", 10**18)
    with pytest.raises(StackError, match=r"only \d+ MB are free"):
        install.install()


@pytest.mark.parametrize(
    "path", [lock.LOCK, lock.RUN_LOCK, lock.FUZZ_LOCK, lock.BENCH_LOCK], ids=lambda path: path.name
)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(path: Path) -> None:
    assert lock.unwanted(path.read_text()) == []


def test_images_get_the_versions_that_are_tested_and_none_of_the_tools() -> None:
    everything, what_runs = (_pins(path) for path in (lock.LOCK, lock.RUN_LOCK))
    assert what_runs.items() <= everything.items()
    assert {"asyncpg", "cryptography", "uvloop"} <= what_runs.keys()
    assert not {"pytest", "mypy", "ruff", "hypothesis"} & what_runs.keys()


def _pins(path: Path) -> dict[str, str]:
    """Name and version, with the hashes, by name."""
    pins = path.read_text().replace("\\\n", "").split("\n")
    return {line.split("==")[0]: line for line in pins if "==" in line}


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://pypi.example/simple",
        "--find-links /somewhere/wheels",
        "thing @ file:///somewhere/thing.whl",
        "thing @ git+ssh://example/thing",
        "    # via -r /somewhere/requirements.in",
        "-e .",
    ],
)
def test_a_lock_with_an_address_or_a_path_is_refused(line: str) -> None:
    assert lock.unwanted(f"good==1.0 \\\n    --hash=sha256:{'0' * 64}\n    # via good\n{line}\n") == [line]
