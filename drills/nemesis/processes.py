"""``python3 -m drills.nemesis.processes KILL PID [PID ...] [--named NAME]``: a signal to processes of containers.

PIDs are the host's, of the first process of each container. With ``--named`` the signal goes to the oldest process of
that name in each container: the postmaster, not its children. All signals go out in one go.
"""

import argparse
import os
import signal
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description="A signal to processes of containers.")
    parser.add_argument("signal", choices=("KILL", "STOP", "CONT", "TERM"))
    parser.add_argument("pids", type=int, nargs="+")
    parser.add_argument("--named")
    options = parser.parse_args()
    try:
        targets = [oldest(pid, options.named) if options.named else pid for pid in options.pids]
        if 0 in targets or 1 in targets:
            raise RuntimeError("that is no process of a container")
        for target in targets:
            os.kill(target, signal.Signals[f"SIG{options.signal}"])
    except (OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(*targets)
    return 0


def oldest(container: int, name: str, proc: Path = Path("/proc")) -> int:
    """The host's pid of the oldest process called ``name`` that shares the container's pid namespace."""
    namespace = os.readlink(proc / str(container) / "ns/pid")
    found = []
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if os.readlink(folder / "ns/pid") == namespace and (folder / "comm").read_text().strip() == name:
                started = (folder / "stat").read_text().rpartition(")")[2].split()[19]  # field 22: starttime
                found.append((int(started), int(folder.name)))
        except OSError:  # it has ended meanwhile
            continue
    if not found:
        raise RuntimeError(f"no process is called {name}")
    return min(found)[1]


if __name__ == "__main__":
    sys.exit(main())
