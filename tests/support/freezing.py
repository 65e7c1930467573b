"""SIGSTOP that has taken effect: on a busy machine a process runs on for a while after the signal was sent."""

import os
import signal
import time
from pathlib import Path

STOPS_S = 10.0


def freeze(pid: int) -> None:
    """Returns when every thread of the process is stopped (or has ended). Raises ProcessLookupError, TimeoutError."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + STOPS_S
    while not set(_states(pid)) <= set("TtZX"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} did not stop within {STOPS_S:g} s: {_states(pid)}")
        time.sleep(0.001)


def _states(pid: int) -> list[str]:
    """The state letter of each thread; see proc(5)."""
    states = []
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            states.append(thread.read_text().rpartition(")")[2].split()[0])
        except OSError:
            continue  # it has ended
    return states
