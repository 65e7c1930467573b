"""Where servers of tests keep their files."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import pytest

from tests.support.folders import PREFIX, ROOM_BYTES, YOUNG_S, has_room, private_folder

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with room for all, and nobody has said another place."""
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(ROOM_BYTES, 0, ROOM_BYTES))
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    return said(tmp_path / "meminfo", ROOM_BYTES)


def said(meminfo: Path, available_bytes: int) -> Path:
    meminfo.write_text(f"MemTotal:       25000000 kB\nMemAvailable:   {available_bytes // 1024} kB\nBuffers: 1 kB\n")
    return meminfo


def long_ago(folder: Path) -> None:
    then = time.time() - 2 * YOUNG_S
    os.utime(folder, (then, then))


def test_it_is_in_memory_others_can_pass_through_it_and_nothing_is_left_of_it(memory: Path, meminfo: Path) -> None:
    with private_folder(memory, meminfo) as folder:
        assert folder.parent == memory
        assert stat.S_IMODE(folder.stat().st_mode) == 0o711
        (folder / "postgres").mkdir()
    assert list(memory.iterdir()) == []


def test_it_is_elsewhere_when_tmpdir_says_so(
    memory: Path, meminfo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with private_folder(memory, meminfo) as folder:
        assert folder.parent == tmp_path


def test_it_is_not_in_memory_that_is_missing_small_or_needed(
    memory: Path, meminfo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has_room(memory, meminfo)
    assert not has_room(memory, said(meminfo, ROOM_BYTES - 1024))
    assert not has_room(memory, memory / "no-meminfo")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(ROOM_BYTES, 1, ROOM_BYTES - 1))
    assert not has_room(memory, said(meminfo, ROOM_BYTES))
    monkeypatch.undo()
    assert not has_room(memory / "missing", meminfo)


def test_what_a_killed_session_left_is_removed_and_what_lives_or_is_young_stays(memory: Path, meminfo: Path) -> None:
    left, young = memory / f"{PREFIX}left", memory / f"{PREFIX}young"
    strange = memory / "strange"
    for folder in (left, young, strange):
        (folder / "data").mkdir(parents=True)
    for folder in (left, strange):
        long_ago(folder)
    holds = (
        "import sys; from pathlib import Path; from tests.support import folders; folders.ROOM_BYTES = 0\n"
        "with folders.private_folder(*map(Path, sys.argv[1:])) as made: print(made, flush=True); sys.stdin.read()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(memory), str(meminfo)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        living = Path(other.stdout.readline().strip())
        long_ago(living)
        with private_folder(memory, meminfo) as ours:
            assert set(memory.iterdir()) == {young, strange, living, ours}
        other.kill()
    with private_folder(memory, meminfo) as ours:
        assert set(memory.iterdir()) == {young, strange, ours}
