"""Where the servers of a test session keep their files: in memory, where there is room for them.

A fresh database is some 300 files, and most tests of a store make one or two. To make and drop one costs 300 ms of
processor on ext4, nearly all of it the search for an inode that was not freed a moment ago; in memory it costs 40. No
test loses anything by that: a server that is killed finds its files again in both, and nobody here cuts the power.
"""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
MEMINFO = Path("/proc/meminfo")
ROOM_BYTES = 6 * 1024**3  # free there, and in all: a session with all servers has 1 GiB at most, and four run at a time
PREFIX = "ticketflow-test-"
YOUNG_S = 60.0  # its session may be about to lock it


@contextmanager
def private_folder(memory: Path = MEMORY, meminfo: Path = MEMINFO) -> Iterator[Path]:
    """A folder that other users can pass through, as a server's own user must, and that is removed afterwards.

    In ``memory`` if that has room and nobody has said another place (TMPDIR). What a session that was killed left in
    there is removed first: it would stay until the machine is started again.
    """
    in_memory = "TMPDIR" not in os.environ and has_room(memory, meminfo)
    if in_memory:
        _remove_left_behind(memory)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory if in_memory else None))
    folder.chmod(0o711)
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(here, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(here)
        shutil.rmtree(folder, ignore_errors=True)


def has_room(memory: Path, meminfo: Path) -> bool:
    """Whether ROOM_BYTES are free in the folder ``memory``, and in the machine's memory."""
    try:
        free_bytes = shutil.disk_usage(memory).free
        available = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return False
    available_bytes = 0 if available is None else int(available[1]) * 1024
    return os.access(memory, os.W_OK) and min(free_bytes, available_bytes) >= ROOM_BYTES


def _remove_left_behind(memory: Path) -> None:
    for folder in memory.glob(f"{PREFIX}*"):
        try:
            here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # gone, or another user's
            continue
        try:
            fcntl.flock(here, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(here).st_mtime > YOUNG_S:
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # its session lives
            pass
        finally:
            os.close(here)
