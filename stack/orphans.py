"""Processes of a stack whose supervisor was killed: they still hold the ports and the data.

They are known by the mark that the supervisor puts into the environment of each, which the kernel keeps. Two are known
by the folder on their command line: nginx writes its title over the environment, and Postgres runs as somebody else,
whose environment even root may not read in a container.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from stack.supervision import alive
from stack.supervisor_config import MARK

PROC = Path("/proc")
POLITE_S = 15
KILL_S = 5
POLITELY = {"postgres": signal.SIGINT}  # on SIGTERM it would wait for its clients to leave


def find(run: Path) -> dict[int, str]:
    """Process ids and names of what runs for this run folder."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):  # ended meanwhile
                name = (entry / "comm").read_text().strip()
                if _has_mark(entry, run) or _has_folder(entry, name, run):
                    found[int(entry.name)] = name
    return found


def _has_mark(entry: Path, run: Path) -> bool:
    try:
        return f"{MARK}={run}".encode() in (entry / "environ").read_bytes().split(b"\0")
    except PermissionError:
        return False


def _has_folder(entry: Path, name: str, run: Path) -> bool:
    command = (entry / "cmdline").read_bytes()
    if name == "nginx":
        return f"-p {run}/".encode() in command
    return name == "postgres" and f"{(run / 'postgres').resolve()}/data".encode() in command.split(b"\0")


def end(run: Path) -> list[str]:
    """Ends them, politely first. Returns their names."""
    names = set()
    for polite, patience_s in ((True, POLITE_S), (False, KILL_S)):
        found = find(run)
        names |= set(found.values())
        for pid, name in found.items():
            with suppress(ProcessLookupError):
                os.kill(pid, POLITELY.get(name, signal.SIGTERM) if polite else signal.SIGKILL)
        # By id: a process that is ending loses its environment, and so its mark, before it closes its ports.
        deadline = time.monotonic() + patience_s
        while any(map(alive, found)) and time.monotonic() < deadline:
            time.sleep(0.05)
    return sorted(names)
